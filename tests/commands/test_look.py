"""The verdict is the first line and the last; what to type next stands before it; -q, -v and -x."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from odecheck.commands.look import PIPED, console, records_of_a_run, verdict
from odecheck.judge import Verdict
from odecheck.record import REFUSED
from odecheck.records.summary import Headline, identifier
from tests.commands.test_cli import odecheck  # noqa: F401  # pyright: ignore[reportUnusedImport]  # the fixture
from tests.report_runs import ALL, CRASHED, FAILED, HELD, NOTHING, UNSURE


def lines(capsys, records, **how) -> list[str]:
    records_of_a_run(records, Path("runs/it is"), strict=False, **how)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("records", "word", "following"),
    [
        ([HELD, NOTHING], "AS EXPECTED", f"odecheck show {identifier(HELD)} --run 'runs/it is'"),
        ([HELD, UNSURE], "UNDECIDED", f"odecheck show {identifier(UNSURE)} --run 'runs/it is'"),
        (ALL, "REFUTED", f"odecheck show {identifier(FAILED)} --run 'runs/it is'"),
        ([replace(CRASHED, message=f"{REFUSED}no")], "REFUSED", "odecheck verify --run 'runs/it is' --resume"),
        (
            [HELD, replace(NOTHING, verdict=Verdict.NOT_ASKED)],
            "AS EXPECTED",
            "odecheck verify --run 'runs/it is' --resume",
        ),
    ],
)
def test_the_verdict_is_first_and_last_and_the_next_command_before_it(capsys, records, word, following):
    found = lines(capsys, records, took="2 cases in 1 s")
    assert found[0] == found[-1] and found[0].startswith(f"{word}: ") and found[0].endswith("(2 cases in 1 s).")
    assert found[-2].endswith(following)
    assert "odecheck report 'runs/it is'" in found[-3]


def test_quiet_is_the_verdict_alone_and_verbose_a_line_for_each_record(capsys):
    assert len(lines(capsys, ALL, quiet=True)) == 1
    told = "\n".join(lines(capsys, ALL, verbose=True))
    assert all(f"[{identifier(record)}] {record.claim}" in told for record in ALL)
    assert "not applicable heavy" in told or ": not a heavy ball" in told


def test_text_of_other_people_is_no_markup_and_moves_nothing(capsys):
    evil = replace(FAILED, subject="[red]\x1b[2J[/nonsense]", message="[bold]\x1b]0;title\x07")
    told = "\n".join(lines(capsys, [evil, replace(UNSURE, subject="[/]")], verbose=True))
    assert "\x1b" not in told and "[red]\\x1b[2J[/nonsense]" in told and "[bold]" in told
    verdict(console(), Headline("[red]", "[/]", "green"))
    assert capsys.readouterr().out == "[red]: [/].\n"


@pytest.mark.parametrize(("columns", "width"), [(None, PIPED), ("60", 60), ("many", PIPED), ("0", PIPED), ("3", 20)])
def test_what_is_no_terminal_is_as_wide_as_columns_says(monkeypatch, columns, width):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    assert console().width == width


def test_x_stops_at_the_first_failure(odecheck):  # noqa: F811
    few = ("--claim", "SOL-2,SOL-9", "--workers", "1", "--json", "a.json")
    status, output = odecheck("verify", "cli_model.py:wrong", *few, "-x")
    assert status == 1 and "1 was not asked" in output
    rows = json.loads(Path("a.json").read_text())["records"]
    assert [row["verdict"] for row in rows] == ["refuted", "not asked"] and "--exitfirst" in rows[1]["message"]
    status, output = odecheck("verify", "cli_model.py:right", *few, "-x")
    assert status == 0 and "not asked" not in output


def test_a_plan_has_no_records_to_be_verbose_about(odecheck):  # noqa: F811
    status, output = odecheck("verify", "cli_model.py:right", "--claim", "SOL-9", "--workers", "1", "-v", "--plan")
    assert status == 2 and "--verbose would be ignored" in output
