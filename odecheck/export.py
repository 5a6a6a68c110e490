"""Records for other programs: JSON and JUnit XML."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from .summary import outcome

if TYPE_CHECKING:
    from .record import Record

SCHEMA = 1


def write_json(file: str, rows: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
    """{"schema", "facts", "records"} to a file, or to the standard output for "-".

    JSON has no infinity and no NaN: they are "Infinity", "-Infinity" and null.
    """
    text = json.dumps(
        {"schema": SCHEMA, "facts": facts, "records": [_finite(row) for row in rows]}, indent=1, allow_nan=False
    )
    if file == "-":
        sys.stdout.write(text + "\n")
    else:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(text + "\n")


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    def one(value: Any) -> Any:
        if not isinstance(value, float) or math.isfinite(value):
            return value
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

    return {name: one(value) for name, value in row.items()}


def write_junit(file: str, records: Sequence[Record], *, strict: bool = False) -> None:
    """One test case for each record. What is inconclusive, not applicable or known to fail is skipped."""
    suite = ElementTree.Element("testsuite", name="odecheck")
    counts = {"failed": 0, "skipped": 0, "error": 0}
    for record in records:
        name = f"{record.problem} - {record.subject}"
        case = ElementTree.SubElement(
            suite, "testcase", classname=record.claim, name=_text(name), time=f"{record.seconds:.3f}"
        )
        _properties(case, record)
        kind = outcome(record, strict=strict)
        if kind == "failed":
            tag = "error" if record.verdict == "error" else "failure"
            counts["error" if tag == "error" else "failed"] += 1
            ElementTree.SubElement(case, tag, message=_text(record.message.splitlines()[0])).text = _text(str(record))
        elif kind not in ("passed", "refuted as stated"):
            counts["skipped"] += 1
            reason = record.expected_failure if kind == "expected failure" else record.message
            ElementTree.SubElement(case, "skipped", type=kind, message=_text(f"{kind}: {reason}"))
    totals = {
        "tests": len(records),
        "failures": counts["failed"],
        "errors": counts["error"],
        "skipped": counts["skipped"],
    }
    for key, count in totals.items():
        suite.set(key, str(count))
    suite.set("time", f"{sum(r.seconds for r in records):.3f}")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def _properties(case: ElementTree.Element, record: Record) -> None:
    properties = ElementTree.SubElement(case, "properties")
    for name, value in asdict(record).items():
        ElementTree.SubElement(properties, "property", name=name, value=_text(str(value)))


def _text(text: str) -> str:
    """Without the control characters that XML does not allow."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)
