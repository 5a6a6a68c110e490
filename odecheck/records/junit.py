"""Records as JUnit XML. What nobody asked for is not said hundreds of times: it is one test case, which is skipped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from .outcomes import outcome

if TYPE_CHECKING:
    from odecheck.record import Record

SILENT = ("not applicable", "unsupported")


def write_junit(file: str, records: Sequence[Record], *, strict: bool = False) -> None:
    """Write JUnit XML, a test case for each record. What is inconclusive or known to fail is skipped.

    What is not applicable or not supported is one test case all together, which is skipped.

    Args:
        file: a path, whose folder is made.
        records: the records.
        strict: whether what is inconclusive has failed.
    """
    suite = ElementTree.Element("testsuite", name="odecheck")
    for record in records:
        name = f"{record.problem} - {record.subject}"
        case = ElementTree.SubElement(
            suite, "testcase", classname=_text(record.claim), name=_text(name), time=f"{record.seconds:.3f}"
        )
        _properties(case, record)
        kind = outcome(record, strict=strict)
        if kind == "failed":
            tag = "error" if record.verdict == "error" else "failure"
            ElementTree.SubElement(case, tag, message=_text(next(iter(record.message.splitlines()), ""))).text = _text(
                str(record)
            )
        elif kind not in ("passed", "refuted as stated"):
            reason = record.expected_failure if kind == "expected failure" else record.decides or record.message
            ElementTree.SubElement(case, "skipped", type=kind, message=_text(f"{kind}: {reason}"))
    suite.set("time", f"{sum(r.seconds for r in records):.3f}")
    for name, path in (("tests", ""), ("failures", "/failure"), ("errors", "/error"), ("skipped", "/skipped")):
        suite.set(name, str(len(suite.findall(f"testcase{path}"))))
    _fold(suite, "", SILENT)
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


def fold(file: str, prefix: str, silent: Sequence[str]) -> None:
    """Make one skipped test case of all those whose verdict says nothing, in a file that somebody else wrote.

    Args:
        file: JUnit XML; one that cannot be read stays as it is.
        prefix: With which names of properties begin.
        silent: The verdicts.
    """
    with suppress(OSError, ValueError, ElementTree.ParseError):
        tree = ElementTree.parse(file)
        for suite in tree.getroot().iter("testsuite"):
            _fold(suite, prefix, silent)
        tree.write(file, encoding="utf-8", xml_declaration=True)


def _fold(suite: ElementTree.Element, prefix: str, silent: Sequence[str]) -> None:
    """One skipped test case in the place of all silent ones."""
    found = [case for case in suite.findall("testcase") if _property(case, f"{prefix}verdict") in silent]
    if len(found) > 1:
        claims = list(dict.fromkeys(_property(case, f"{prefix}claim") for case in found))
        for case in found:
            suite.remove(case)
        told = f"{len(found)} cases of {len(claims)} claims do not apply or are not supported"
        one = ElementTree.SubElement(suite, "testcase", classname="odecheck", name=told, time="0.000")
        ElementTree.SubElement(one, "skipped", type="not applicable", message=f"{told}: {', '.join(claims)}")
        for name in ("tests", "skipped"):
            suite.set(name, str(int(suite.get(name, "0")) - len(found) + 1))


def _property(case: ElementTree.Element, name: str) -> str:
    return next((one.get("value", "") for one in case.iter("property") if one.get("name") == name), "")
