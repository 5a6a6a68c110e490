"""The command line: exit status, output for people and for programs, and how soon it answers."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

import odecheck as odecheck_itself
from odecheck import ALL
from odecheck.commands.cli import app
from odecheck.records.run_folder import read

MODEL = """
from odecheck import SHIPPED, Adaptive, Backprop, Subject, problems as shipped
from odecheck.mutants.derivatives import SCALED_SOLUTION

problems = shipped()[:1]
right = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Backprop())
coarse = Subject(SHIPPED, Adaptive("bosh3", rtol=1e-2), Backprop())
wrong = SCALED_SOLUTION(right)
known = SCALED_SOLUTION(Subject(SHIPPED, right.solver, right.engine, expected_failures={"SOL-2": "scaled on purpose"}))
stale = Subject(SHIPPED, right.solver, right.engine, expected_failures={"SOL-2": "was fixed since"})
few = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-9, max_steps=2), Backprop())
"""


@pytest.fixture
def odecheck(tmp_path, monkeypatch):
    """Run a command in an empty folder with the file model.py beside it: (exit status, output)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")  # as wide as what is read by a pipe
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "cli_model", raising=False)
    Path("cli_model.py").write_text(MODEL)

    def run(*arguments: str):
        result = CliRunner().invoke(app, list(arguments))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


QUICK = ("--claim", "SOL-1", "--claim", "SOL-2", "--claim", "SOL-3", "--workers", "1")


def test_all_as_expected_is_0(odecheck):
    status, output = odecheck("verify", "cli_model.py:right", *QUICK)
    assert status == 0
    assert "SOL-2" in output
    assert "would have seen" in output
    assert "NFE" in output
    facts, records = read(next(Path("runs").iterdir()))
    assert [r.verdict for r in records] == ["holds", "holds", "not applicable"]
    assert facts["source"]["targets"] == ["cli_model.py:right"]


@pytest.mark.parametrize(
    ("name", "strict", "status", "text"),
    [
        ("right", False, 0, "SOL-2"),
        ("wrong", False, 1, "observed / expected 1.0002"),
        ("known", False, 0, "known to fail (1 of its problems): scaled on purpose"),
        ("stale", False, 1, "known to fail, and holds: was fixed since"),
        ("coarse", False, 3, "SOL-2 inconclusive"),
        ("coarse", False, 3, "to decide it: an error that is"),
        ("coarse", True, 1, "SOL-2 inconclusive"),
    ],
)
def test_exit_status(odecheck, name, strict, status, text):
    got, output = odecheck("verify", f"cli_model:{name}", "--claim", "sol-2", *(["--strict"] if strict else []))
    assert text in output
    assert got == status


def test_ones_own_tolerance_is_a_number_with_a_bar_and_a_verdict(odecheck):
    status, output = odecheck("verify", "cli_model:right", "--rtol", "1e-5", "--claim", "own", "--workers", "1")
    assert status == 0 and "OWN-1" in output
    _, records = read(next(Path("runs").iterdir()))
    assert [r.claim for r in records] == ["OWN-1", "OWN-2", "OWN-3", "OWN-4"]
    assert all("rtol=1e-05" in r.subject and 0 < r.observed < r.bar for r in records)
    assert odecheck("show", "OWN-2")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["cli_model.py:right", "--atol", "1e-3"], "--rtol 1e-3"),
        (["cli_model.py:rigth"], "right"),
        (["cli_model.py:few"], "max_steps"),
        (["--claim", "NODE-99"], "no claim 'NODE-99'"),
        (["--tier", "slow"], "no tier 'slow'"),
        (["cli_model.py:right", "--problem", "nothing"], "linear with time"),
    ],
)
def test_bad_input_is_2_and_says_what_to_type(odecheck, arguments, text):
    status, output = odecheck("verify", *arguments, "--workers", "1")
    assert status == 2
    assert text in output
    assert "usual cause" in output
    assert "what to type" in output


def test_a_run_folder_is_not_overwritten_and_resumed(odecheck):
    target = ("verify", "cli_model.py:right", *QUICK, "--run", "here")
    status, output = odecheck(*target, "--resume")
    assert status == 2 and "no run in here to go on with" in output and not Path("here").exists()
    assert odecheck(*target)[0] == 0
    status, output = odecheck(*target)
    assert status == 2
    assert "--resume" in output
    assert odecheck(*target, "--resume")[0] == 0


def test_json_and_junit(odecheck):
    status, output = odecheck("verify", "cli_model.py:known", *QUICK, "--json", "out/a.json", "--junit", "out/a.xml")
    assert status == 0, output
    written = json.loads(Path("out/a.json").read_text(), parse_constant=pytest.fail)
    assert written["schema"] == 2
    assert written["facts"]["seed"] == 0
    assert [row["verdict"] for row in written["records"]] == ["holds", "refuted", "not applicable"]
    assert written["records"][2]["observed"] is None
    suite = ElementTree.parse("out/a.xml").getroot()[0]
    assert [suite.get(k) for k in ("tests", "failures", "errors", "skipped")] == ["3", "0", "0", "2"]
    odecheck("verify", "cli_model.py:wrong", *QUICK, "--junit", "out/b.xml")
    failure = ElementTree.parse("out/b.xml").getroot().find(".//failure")
    assert failure is not None
    assert "observed / expected 1.0002" in (failure.text or "")


def test_json_to_the_standard_output_is_nothing_else(odecheck, capfd):
    result = CliRunner().invoke(app, ["verify", "cli_model.py:right", *QUICK, "--json", "-"])
    assert json.loads(result.stdout)["schema"] == 2
    assert "SOL-2" in result.stderr


def test_claims_are_listed_with_their_sources(odecheck):
    status, output = odecheck("claims")
    assert status == 0
    for claim in ALL:
        assert claim.text in output
        assert claim.source in output
        assert f"expected: {claim.expect}" in output
        assert all(mutant.name in output for mutant in claim.mutants)


def test_show_tells_the_whole_story_and_how_to_see_it_again(odecheck):
    odecheck("verify", "cli_model.py:wrong", *QUICK)
    status, output = odecheck("show", "SOL-2 linear")
    assert status == 0
    for part in ("worst index", "observed", "should be", "ratio", "1.0002", "truncation", "evaluations", "torch 2."):
        assert part in output
    code = output.split("Again, in Python:")[1]
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "SOL-2 refuted" in again.stdout
    number = output.split("[")[1].split("]")[0]
    assert odecheck("show", number)[1] == output


def test_show_lists_what_it_could_mean(odecheck):
    odecheck("verify", "cli_model.py:right", *QUICK)
    status, output = odecheck("show", "SOL")
    assert status == 0
    assert output.count("SOL-") == 3
    assert odecheck("show", "NODE-2")[0] == 2
    assert odecheck("show", "SOL-2", "--run", "nowhere")[0] == 2


def test_help_has_examples(odecheck):
    assert "odecheck verify my_model.py:subjects" in odecheck("--help")[1]
    assert "odecheck verify --tier full --run runs/full --resume" in odecheck("verify", "--help")[1]
    assert "odecheck claims" in odecheck("claims", "--help")[1]
    assert "odecheck show 3f9a1c" in odecheck("show", "--help")[1]
    assert odecheck("--version")[1].startswith("odecheck 0.")


def test_it_runs_as_a_module_of_an_interpreter(tmp_path):
    """Also where it starts processes, which look at what the main module is."""
    command = [sys.executable, "-m", "odecheck", "verify", "--claim", "SOL-1", "--subject", "odecheck.discrete"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "AS EXPECTED" in done.stdout


def test_help_is_there_at_once():
    """514 modules, none that computes, in half a second: counts are compared, for seconds are the machine's."""
    code = (
        "import sys; from odecheck.commands.cli import app; import odecheck.pytest_plugin; sys.argv[1:] = ['--help']\n"
    )
    heavy = ("torch", "numpy", "scipy", "pandas", "matplotlib", "jax", "torchdiffeq", "hypothesis")
    code += f"try: app()\nfinally: print([m for m in {heavy} if m in sys.modules], len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "verify" in done.stdout
    found, count = done.stdout.strip().splitlines()[-1].rsplit(" ", 1)
    assert found == "[]", done.stdout + done.stderr
    assert int(count) < 600


def test_a_package_that_was_never_installed_has_a_version(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert odecheck_itself.__version__ == "0+unknown"
