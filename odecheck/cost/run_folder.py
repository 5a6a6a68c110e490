"""The folder of `odecheck cost`: run.json with what was measured how, and cost.parquet, written as its rows come."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from odecheck_reference import Problem

from odecheck.errors import BadInput
from odecheck.records.run_folder import RunFolder, about, read_facts, versions
from odecheck.records.table import read_table, write_table
from odecheck.subject import Subject

from .precision import COLUMNS, library_name

Rows = list[dict[str, Any]]
Work = Sequence[tuple[Problem, Sequence[Subject]]]
TABLE = "cost.parquet"
# what rows have in common that stand beside each other; another error is read off the same rows
HOW = ("rungs", "repeat", "device", "dtype")


def begin(folder: Path, work: Work, how: Mapping[str, Any], *, resume: bool) -> Rows:
    """Write run.json, and give the rows that the folder has already.

    Args:
        folder: of the run; made where there is none.
        work: each problem with the subjects that are measured on it.
        how: rungs, repeat, device, dtype, error.
        resume: whether a run that is there may be gone on with.

    Returns:
        The rows of cost.parquet that are there.

    Raises:
        BadInput: a folder that is taken or damaged, or whose rows were measured otherwise.
    """
    used = versions(*sorted({library_name(one.engine) for _, found in work for one in found}))
    source = [(problem.name, [one.name for one in found]) for problem, found in work]
    facts = about({"source": source}, seed=0, device=how["device"]) | {"versions": used, "cost": dict(how)}
    if resume:
        read_facts(folder)  # there has to be a run
    rows = _rows(folder / TABLE) if resume else []
    RunFolder.open(
        folder, facts, resume=resume, belongs=("cost", "device"), same=_same, onwards=_onwards, tables=(TABLE,)
    )
    return rows


def _rows(table: Path) -> Rows:
    if not os.path.lexists(table):
        return []
    read = read_table(table)
    missing = [] if read.frame is None else [name for name in COLUMNS if name not in read.frame]
    if read.damaged or missing:
        raise BadInput(
            f"{table} cannot be read: {'; '.join(read.damaged) or f'no column {missing[0]}'}",
            "a disk that was full, a copy that was cut off, or another program's file",
            f"rm {table}, then the same command: it measures everything again",
        )
    frame: Any = read.frame
    return frame[list(COLUMNS)].to_dict("records")


def _onwards(known: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a run to which problems, libraries or another error were added."""
    source, used = {**_source(known), **_source(facts)}, {**known["versions"], **facts["versions"]}
    return {**known, "versions": used, "cost": facts["cost"], "cases": {"source": list(source.items())}}


def _source(facts: Mapping[str, Any]) -> dict[str, list[str]]:
    return {problem: subjects for problem, subjects in facts["cases"]["source"]}


def _same(folder: Path, facts: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises BadInput where rows of now do not belong beside those of the folder. Problems and quantities may be added.

    A library that was not there gave no numbers that another version could contradict.
    """
    how, used, source = now["cost"], now["versions"], _source(now)
    old, then, before = facts.get("cost", {}), facts.get("versions", {}), _source(facts)
    differ = [f"{key} {old.get(key)} (now {how[key]})" for key in HOW if old.get(key) != how[key]]
    differ += [f"{name} {then[name]} (now {now})" for name, now in used.items() if then.get(name) not in (None, now)]
    for problem, names in source.items():
        gone = [name for name in before.get(problem, names) if name not in names]
        added = [name for name in names if name not in before.get(problem, names)]
        if gone or added:
            differ.append(f"other subjects on {problem!r}: there {gone[:3]}, here {added[:3]}")
    if differ:
        raise BadInput(
            f"the run in {folder} was measured with {'; '.join(differ)}",
            "another option than when it began, or a library that was changed or installed since",
            f"the same command as before ({' '.join(facts.get('command', ()))}), or another --run",
        )


def parts(rows: Rows, problem: str, quantity: str, subjects: int, rungs: int) -> list[Rows]:
    """Of each subject its rows; none where there are none yet, or where one has failed: that is measured again."""
    mine = [row for row in rows if (row["problem"], row["quantity"]) == (problem, quantity)]
    if len(mine) != subjects * rungs:
        return [[] for _ in range(subjects)]
    found = [mine[i * rungs : (i + 1) * rungs] for i in range(subjects)]
    return [[] if any(row["state"] == "failed" for row in part) else part for part in found]


def put(folder: Path, rows: Rows, parts: Sequence[Rows], new: Rows) -> Rows:
    """All rows, with new ones where `parts` of one problem and quantity are empty. They are written at once."""
    group = new[0]["problem"], new[0]["quantity"]
    share = len(new) // sum(not part for part in parts)
    left = iter(new)
    others = [row for row in rows if (row["problem"], row["quantity"]) != group]
    rows = [*others, *(row for part in parts for row in (part or islice(left, share)))]
    write(folder, rows)
    return rows


def in_order(folder: Path, rows: Rows, order: Sequence[tuple[str, str]]) -> Rows:
    """The same rows in the order of (problem, quantity), in which a cluster does not give them; others come first."""
    place = {group: n for n, group in enumerate(order)}
    ordered = sorted(rows, key=lambda row: place.get((row["problem"], row["quantity"]), -1))
    if ordered != rows:
        write(folder, ordered)
    return ordered


def write(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write cost.parquet, whole or not at all."""
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    write_table(folder / TABLE, pd.DataFrame(rows, columns=list(COLUMNS)))
