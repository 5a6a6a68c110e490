"""The records of a run folder as they are read: whatever is damaged, changed or of other code is left out, and told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from odecheck.errors import needed
from odecheck.foreign import literal, one_line
from odecheck.judge import Verdict
from odecheck.record import COLUMNS, NEEDED, Record

from .journal import Journal
from .sound import sound
from .table import read_table

# of a row: what it is found and sorted by
NAMES = ("claim", "subject", "problem", "verdict")


def read_records(folder: Path) -> tuple[list[Record], list[str]]:
    """The records of a folder, each case once, and in words what could not be read."""
    rows: list[Any] = []
    damaged: list[str] = []
    table = folder / "records.parquet"
    if os.path.lexists(table):
        read = read_table(table)
        damaged += read.damaged
        rows += [] if read.frame is None else read.frame.to_dict("records")
    try:
        written = Journal(folder / "journal.jsonl")
        rows += written.entries
        damaged += written.damaged
    except OSError as error:  # a folder or a pipe in its place
        damaged.append(one_line(error))
    kept: dict[tuple[str, str, str], Record] = {}
    for row in rows:
        trouble = _trouble(row)
        if trouble:
            damaged.append(trouble)
            continue
        values: dict[str, Any] = {**row, "verdict": Verdict(row["verdict"])}
        record = sound(Record(**values))
        kept[record.key] = record
    return list(kept.values()), damaged


def without_checksums(folder: Path) -> bool:
    """Whether records of a folder have no checksums, as an older odecheck wrote them: changes in them go unseen."""
    table = folder / "records.parquet"
    with suppress(OSError):
        return (table.exists() and not read_table(table).checked) or not Journal(folder / "journal.jsonl").checked
    return False


def _trouble(row: Mapping[str, Any]) -> str:
    """Why a row is no record, or nothing. Numbers that are none are the reader's matter."""
    if not NEEDED <= set(row) <= set(COLUMNS):
        return f"a row without the columns of a record: {literal(row, 60)}"
    strange = next((name for name in NAMES if not isinstance(row[name], str)), "")
    if strange:
        return f"a row whose {strange} is no text: {literal(row[strange], 60)}"
    try:
        Verdict(row["verdict"])
    except ValueError:
        return f"a row of no known verdict: {literal(row['verdict'], 60)}"
    return ""


def frame(records: Sequence[Record]) -> Any:
    """The records as a pandas DataFrame, one row each. Raises BadInput without the extra tables."""
    (pd,) = needed("tables", "pandas")

    return pd.DataFrame([{**vars(r), "verdict": str(r.verdict)} for r in records], columns=list(COLUMNS))


def forget_changed(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Take the records of changed code out of a folder, before its run.json says that the code is another one.

    Args:
        folder: of the run.
        old: the cases of its run.json.
        new: those that are asked now.

    Returns:
        How many records were of other code, in words; nothing where none was.
    """
    was, now = old.get("code", {"claims": {}, "pairs": []}), new.get("code")
    if now is None or was == now:
        return ""
    claims = {id for id, code in now["claims"].items() if was["claims"].get(id) != code}
    before = dict(zip(((s, p) for s, p, _ in old["pairs"]), was["pairs"], strict=False))
    pairs = {(s, p) for (s, p, _), code in zip(new["pairs"], now["pairs"], strict=True) if before.get((s, p)) != code}
    records, _ = read_records(folder)
    left = [r for r in records if r.claim not in claims and (r.subject, r.problem) not in pairs]
    journal = Journal(folder / "journal.jsonl")
    journal.rewrite(asdict(record) for record in left)
    (folder / "records.parquet").unlink(missing_ok=True)
    gone = len(records) - len(left)
    return f"the code of {gone} of {len(records)} kept records was changed since they were judged" if gone else ""
