"""The folder of `odecheck cost`: run.json with what was measured how, and cost.parquet, written as its rows come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from odecheck_reference import Problem

from odecheck.errors import BadInput
from odecheck.records.run_folder import about, read_facts, versions
from odecheck.subject import Subject

from .precision import COLUMNS, library_name

Rows = list[dict[str, Any]]
Work = Sequence[tuple[Problem, Sequence[Subject]]]
# what rows have in common that stand beside each other; another error is read off the same rows
HOW = ("rungs", "repeat", "device", "dtype")


def begin(folder: Path, work: Work, how: Mapping[str, Any], *, resume: bool) -> Rows:
    """Write run.json, and give the rows that the folder has already.

    how: rungs, repeat, device, dtype, error. Raises BadInput for a folder that is taken or damaged, or whose rows were
    measured otherwise.
    """
    import pandas as pd

    table, path = folder / "cost.parquet", folder / "run.json"
    used = versions(*sorted({library_name(one.engine) for _, found in work for one in found}))
    source = {problem.name: [one.name for one in found] for problem, found in work}
    if not resume and (table.exists() or path.exists()):
        raise BadInput(
            f"the folder {folder} already holds a run",
            "the same --run twice",
            f"--resume to go on with it, another --run, or rm -r {folder}",
        )
    facts: dict[str, Any] = {}
    if resume:
        facts = read_facts(folder)
        _same(folder, facts, how, source, used)
        source, used = {**_source(facts), **source}, {**facts["versions"], **used}
    try:
        rows: Any = pd.read_parquet(table, columns=list(COLUMNS)).to_dict("records") if table.exists() else []
    except Exception as error:  # whatever pyarrow makes of a torn file
        raise BadInput(
            f"{table} cannot be read: {str(error).splitlines()[0]}",
            "a disk that was full, a copy that was cut off, or another program's file",
            f"rm {table}, then the same command: it measures everything again",
        ) from error
    facts = facts or about({}, seed=0, device=how["device"])
    facts |= {"versions": used, "cost": dict(how), "cases": {"source": list(source.items())}}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts, indent=1) + "\n")
    return rows


def _source(facts: Mapping[str, Any]) -> dict[str, list[str]]:
    return {problem: subjects for problem, subjects in facts["cases"]["source"]}


def _same(
    folder: Path,
    facts: Mapping[str, Any],
    how: Mapping[str, Any],
    source: Mapping[str, Sequence[str]],
    used: Mapping[str, str | None],
) -> None:
    """Raises BadInput where rows of now do not belong beside those of the folder. Problems and quantities may be added.

    A library that was not there gave no numbers that another version could contradict.
    """
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


def write(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    import pandas as pd

    temporary = folder / "cost.parquet.tmp"
    pd.DataFrame(rows, columns=list(COLUMNS)).to_parquet(temporary, index=False)
    temporary.replace(folder / "cost.parquet")
