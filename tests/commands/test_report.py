"""`odecheck report`: what it writes and refuses."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from odecheck.commands.cli import app
from tests.report_runs import ALL, run


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(Path("runs/first"), ALL)
    result = CliRunner().invoke(app, ["report", "runs/first", "--figures", "figures"])
    assert result.exit_code == 0, result.output
    assert "Not as expected: 2 of 18 verdicts." in result.output
    assert Path("runs/first/report.html").stat().st_size > 1e6
    assert "](../../figures/margins.svg)" in Path("runs/first/report.md").read_text()
    assert Path("figures/margins.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is nothing to report in nowhere"),
        ([], "there is nothing to report in runs/none"),
        (["--compare", "one"], "--compare takes two runs, not 1"),
    ],
)
def test_the_command_refuses(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["report", *arguments])
    assert result.exit_code == 2 and words in result.output
