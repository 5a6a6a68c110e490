"""JUnit XML says once what nobody asked for, whoever wrote the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from odecheck.judge import Verdict
from odecheck.records.junit import fold, write_junit
from tests.report_runs import CRASHED, FAILED, HELD, KNOWN, NOTHING, UNSURE


def counts(file: Path) -> list[int]:
    suite = ElementTree.parse(file).getroot()[0]
    assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
    return [int(suite.get(name, "")) for name in ("tests", "failures", "errors", "skipped")]


def test_what_does_not_apply_is_one_case(tmp_path):
    silent = [replace(NOTHING, problem=str(i)) for i in range(40)]
    silent += [replace(NOTHING, claim="HB-3", verdict=Verdict.UNSUPPORTED)]
    write_junit(str(tmp_path / "a.xml"), [HELD, *silent, FAILED, CRASHED, KNOWN, UNSURE])
    assert counts(tmp_path / "a.xml") == [6, 1, 1, 3]
    text = (tmp_path / "a.xml").read_text()
    assert text.count("41 cases of 2 claims do not apply or are not supported") == 2 and "HB-2, HB-3" in text


def test_a_single_one_stays_what_it_is(tmp_path):
    write_junit(str(tmp_path / "a.xml"), [HELD, NOTHING])
    assert counts(tmp_path / "a.xml") == [2, 0, 0, 1] and "not a heavy ball" in (tmp_path / "a.xml").read_text()


def test_a_file_that_is_none_stays_as_it_is(tmp_path):
    for text in ("<testsuites><testsuite", "", "{}"):
        (tmp_path / "a.xml").write_text(text)
        fold(str(tmp_path / "a.xml"), "", ("not applicable",))
        assert (tmp_path / "a.xml").read_text() == text
    fold(str(tmp_path / "nothing.xml"), "", ())
    assert not (tmp_path / "nothing.xml").exists()
