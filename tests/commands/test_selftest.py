"""`odecheck selftest`: what it writes, goes on with and refuses."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from odecheck.commands.cli import app


def test_the_command_measures_writes_and_says_what_it_does_not_know(tmp_path):
    command = ["selftest", "--part", "bars", "--problems", "2", "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [*command, "--write", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    made = json.loads((tmp_path / "out" / "selftest.json").read_text())
    assert made["bars"]["drawn"] == 2
    assert made["bars"]["outside"] == 0
    assert "2 problems" in (tmp_path / "out" / "selftest.md").read_text()
    # in the terminal tables, and no source of Markdown; the verdict is the first line and the last
    lines = done.output.rstrip().splitlines()
    assert lines[0].startswith("AS EXPECTED: ") and lines[-1] == lines[0]
    assert ("─" in done.output or "━" in done.output) and not [line for line in lines if line.startswith(("|", "#"))]
    assert max(map(len, lines)) <= 120
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2
    assert CliRunner().invoke(app, [*command, "--resume"]).exit_code == 0
    assert CliRunner().invoke(app, ["selftest", "--part", "colours"]).exit_code == 2


def test_the_command_refuses_before_the_work_of_hours(tmp_path, monkeypatch):
    def said(*arguments):
        return CliRunner().invoke(app, ["selftest", "--run", str(tmp_path / "run"), *arguments])

    (tmp_path / "file").write_text("")
    assert "nothing is judged" in said("--so-far").output and said("--so-far").exit_code == 2
    assert said("--part", "bars", "--problems", "0").exit_code == 2
    assert "cannot write --write" in said("--write", str(tmp_path / "file")).output
    monkeypatch.setattr("odecheck.commands.selftest.find_spec", lambda name: None)
    refused = said("--mutants", "1")
    assert refused.exit_code == 2 and "hypothesis, which is not installed" in refused.output
    assert not (tmp_path / "run").exists()


def test_the_quick_one_says_its_verdict_first_and_last_and_refuses_what_it_would_ignore(tmp_path, monkeypatch):
    from odecheck.selftest import quick

    def said(*arguments):
        return CliRunner().invoke(app, ["selftest", "--quick", "--run", str(tmp_path / "run"), *arguments])

    small = quick.Selection(kinds=(), sources=(), alarms=0, planted=0, hard=1, bars=1)
    monkeypatch.setattr(quick, "Selection", lambda: small)
    done = said()
    assert done.exit_code == 0, done.output
    lines = done.output.strip().splitlines()
    assert lines[0] == lines[-1] and lines[0].startswith("AS EXPECTED: 0 wrong subjects are refuted, ")
    assert said().exit_code == 2 and said("--resume").exit_code == 0
    for option in (
        ["--part", "bars"],
        ["--mutants", "3"],
        ["--planted", "3"],
        ["--so-far"],
        ["--write", str(tmp_path)],
    ):
        refused = said(*option)
        assert refused.exit_code == 2 and f"{option[0]} would be ignored: --quick" in refused.output
    monkeypatch.setattr(quick, "bad", lambda rows: ["something"])
    assert said("--resume").exit_code == 1
