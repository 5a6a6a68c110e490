"""What the commands refuse, before they work for it and in words: places, folders of other commands, damaged files."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from odecheck.commands import common
from odecheck.commands.cli import app, main
from odecheck.conformance import libraries
from odecheck.engines.release import NotInstalled
from odecheck.errors import BadInput
from odecheck.ledger import build as ledger
from odecheck.report.static import needs_figures
from odecheck.selftest import curve
from tests import bad_engines
from tests.commands.typed import refused, run

VERIFY = ("verify", "--claim", "SOL-1", "--problem", "linear", "--subject", "rk4", "--workers", "1")
TRAIN = {"schema": 1, "cases": {"task": "digits", "setting": {}}, "versions": {}, "command": ["odecheck", "train"]}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def a_run(folder: str, facts: object = TRAIN) -> None:
    Path(folder).mkdir(parents=True)
    (Path(folder) / "run.json").write_text(facts if isinstance(facts, str) else json.dumps(facts))


@pytest.mark.parametrize(
    "typed",
    [
        (*VERIFY, "--junit", "."),
        (*VERIFY, "--json", "v.txt/x.json"),
        (*VERIFY, "--summary", "."),
        (*VERIFY, "--run", "v.txt"),
        ("conformance", "scipy", "--write", "v.txt"),
        ("claims", "--verify", "--write", "v.txt"),
        ("conformance", "scipy", "--run", "v.txt/run"),
        ("reproduce", "3f9a1c", "--write", "."),
        ("cost", "--write", "v.txt"),
        ("cost", "--run", "v.txt"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(typed, monkeypatch):
    def never(*_args, **_options):
        pytest.fail("work was begun")

    importlib.import_module("odecheck.conformance.matrix")  # before what it imports is replaced
    for name in (
        "odecheck.runner.run.run_units",
        "odecheck.ledger.build.build",
        "odecheck.conformance.matrix.matrix",
        "odecheck.cost.work_precision",
    ):
        monkeypatch.setattr(name, never)
    Path("v.txt").write_text("mine")
    refused("cannot write", *typed)
    assert Path("v.txt").read_text() == "mine" and [p.name for p in Path().iterdir()] == ["v.txt"]


def test_places_that_can_be_written_are_left_alone(tmp_path):
    (tmp_path / "old.md").write_text("old")
    for path, folder in (("a/b", True), ("a/b.md", False), ("old.md", False), ("-", False), (None, True), (".", True)):
        common.needs_to_write(path, "--write", folder=folder)
    assert [p.name for p in tmp_path.iterdir()] == ["old.md"] and (tmp_path / "old.md").read_text() == "old"


def test_what_cannot_be_written_after_all_is_2_and_no_traceback(monkeypatch, capsys):
    def full(*_typed: object, **_how: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("odecheck.commands.cli.app", full)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert "No space left" in said and "usual cause" in said and "what to type" in said


def test_a_path_that_is_no_folder_is_2(monkeypatch, capsys):
    monkeypatch.setattr("odecheck.commands.common._try_to_write", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["odecheck", *VERIFY, "--run", "v.txt"])
    Path("v.txt").write_text("mine")
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2 and "v.txt: File exists" in capsys.readouterr().err


def test_the_table_is_shown_before_the_exports(monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("odecheck.records.export.write_junit", full)
    done = CliRunner().invoke(app, [*VERIFY, "--junit", "a.xml"])
    assert isinstance(done.exception, OSError) and "1 record in runs" in done.output


@pytest.mark.parametrize("command", [VERIFY, ("conformance", "scipy"), ("cost",)])
def test_a_run_of_another_command_is_not_gone_on_with(command):
    a_run("trained")
    refused("is of odecheck train", *command, "--run", "trained", "--resume")
    assert [p.name for p in Path("trained").iterdir()] == ["run.json"]


@pytest.mark.parametrize("command", [VERIFY, ("conformance", "scipy"), ("cost",)])
def test_nothing_to_resume_is_said(command):
    refused("no run in nodir to go on with", *command, "--run", "nodir", "--resume")
    a_run("runs/trained")
    refused(f"no run of odecheck {command[0]}", *command, "--resume")
    assert [str(p) for p in Path().iterdir()] == ["runs"]


def test_the_last_run_is_the_last_of_its_command():
    assert run(*VERIFY, "--run", "runs/a")[0] == 0
    a_run("runs/b")
    a_run("runs/c", "{")
    assert common.last_run("verify") == Path("runs/a") and common.last_run("train") == Path("runs/b")
    assert run("show", "SOL-1")[0] == 0
    refused("no row in runs/a has the id", "reproduce", "ffffff")
    assert run(*VERIFY, "--resume")[0] == 0


@pytest.mark.parametrize("command", [("show", "SOL-1"), ("reproduce", "3f9a1c")])
def test_without_a_run_of_its_kind_a_command_says_so(command):
    a_run("runs/b")
    refused("no run of odecheck verify or conformance", *command)


def test_show_says_that_the_records_are_damaged():
    assert run(*VERIFY, "--run", "here")[0] == 0
    Path("here/journal.jsonl").write_text('{"cut')
    status, output = run("show", "SOL-1", "--run", "here")
    assert status == 0 and "damaged: journal.jsonl, line 1" in output and "would have seen" in output
    Path("here/records.parquet").write_text("junk")
    assert "records.parquet" in refused("it is damaged", "show", "SOL-1", "--run", "here")


def test_a_script_is_written_into_a_new_folder(monkeypatch):
    at = SimpleNamespace(claim="", subject="", problem="", observed=1.0, expected=1.0, bar=1.0, worst="", library="")
    monkeypatch.setattr("odecheck.conformance.find.found", lambda *_: at)
    monkeypatch.setattr("odecheck.reproduce.script", lambda *_, **__: "a script")
    a_run("here")
    assert run("reproduce", "3f9a1c", "--run", "here", "--write", "new/folder/bug.py")[0] == 0
    assert Path("new/folder/bug.py").read_text() == "a script"


def test_a_damaged_run_file_says_something_to_type():
    a_run("here", "{")
    assert "rm -r here" in refused("cannot be read", "show", "SOL-1", "--run", "here")
    Path("a_file").write_text("")
    refused("there is no run in a_file", "show", "SOL-1", "--run", "a_file")


def test_a_library_that_is_not_there_is_bad_input_and_says_which_extra(monkeypatch):
    monkeypatch.setattr(libraries, "libraries", lambda: (bad_engines.MISSING,))
    output = refused("missing is not installed", "conformance", "missing")
    assert "odecheck[peers]" in output and "pip install no-such-package-of-odecheck==1.0" in output
    assert "nan" not in output and not Path("runs").exists()


def test_a_release_that_cannot_be_had_is_bad_input(monkeypatch):
    def offline(package: str, release: str, folder: object) -> None:
        raise NotInstalled(f"{package} {release} is not here", "pip install it")

    monkeypatch.setattr(libraries, "install", offline)
    output = refused("torchdiffeq 0.0.9 is not here\n", "conformance", "torchdiffeq==0.0.9")
    assert output.strip().endswith("what to type: pip install it") and not Path("runs").exists()


def test_one_of_two_libraries_that_is_not_there_is_one_line(monkeypatch):
    found = libraries.libraries()
    monkeypatch.setattr(libraries, "libraries", lambda: (bad_engines.MISSING, *found))
    status, output = run("conformance", "missing", "scipy", "--method", "RK45", "--claim", "SOL-9", "--workers", "1")
    assert status == 2 and "nan" not in output
    assert "\nmissing: missing is not installed" in f"\n{output}" and "1 holds" in output


@pytest.mark.parametrize("command", [VERIFY, ("conformance", "scipy")])
@pytest.mark.parametrize("seconds", ["0", "-1", "inf"])
def test_a_limit_has_to_be_positive(command, seconds):
    assert "--timeout 120" in refused("it has to be positive", *command, "--timeout", seconds)


def test_options_of_the_ledger_need_the_ledger():
    refused("--write needs --verify", "claims", "--write", "x")
    refused("--workers needs --verify", "claims", "--workers", "1")
    for command in (("claims", "--verify"), VERIFY[:1], ("conformance",)):
        assert run(*command, "--workers", "-1")[0] == 2


def test_an_interrupted_ledger_says_so(monkeypatch):
    def stopped(**_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(ledger, "build", stopped)
    status, output = run("claims", "--verify")
    assert status == 130 and "Interrupted: nothing was kept" in output


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--problem", "xyz"), "no case has a problem with 'xyz' in its name"),
        (
            ("--problem", "xyz", "--subject", "abc"),
            "no case has a subject with 'abc' in its name and a problem with 'xyz' in its name",
        ),
    ],
)
def test_only_what_was_asked_for_is_named(typed, said):
    refused(said, "verify", *typed)


def test_figures_are_asked_for_before_the_work(monkeypatch):
    needs_figures()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BadInput, match="matplotlib is not installed"):
        needs_figures()
    with pytest.raises(BadInput, match="matplotlib is not installed"):
        curve.draw([], Path("curve.svg"))
