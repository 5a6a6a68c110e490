"""verify says what it will ask before it does, keeps to a budget, and has a case for every claim of the papers."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from odecheck.claims import ALL
from odecheck.commands.cli import app
from odecheck.judge import Verdict
from odecheck.record import evaluate
from odecheck.runner import server
from odecheck.runner.presets import TIERS, beside

CLAIMS = {claim.id: claim for claim in ALL}
FEW = ["verify", "--claim", "SOL-1,SOL-2", "--problem", "tanh", "--subject", "discrete", "--workers", "1"]


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("option", ["--plan", "--dry-run"])
def test_a_plan_says_what_would_be_asked_and_stops(option, tmp_path):
    done = run("verify", "--claims", "NODE-2,SOL-2", option)
    assert done.exit_code == 0
    assert "2 claims × " in done.stdout and " of a processor (" in done.stdout
    assert done.stdout.index("NODE-2") < done.stdout.index("SOL-2")  # the dearer first
    assert not list(tmp_path.iterdir())


def test_a_plan_within_a_budget_says_what_is_asked_of_it_in_its_order(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words = ("verify", "--claims", "NODE-2,SOL-2", "--plan", "--workers", "1")
    asked = {}
    for budget in ("1e-9", "1e6"):
        done = run(*words, "--budget", budget)
        assert done.exit_code == 0, done.output
        rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("NODE-2", "SOL-2"))]
        asked[budget] = [int(row[2]) for row in rows]
        assert all(row[1] == "16" for row in rows)  # a narrow window takes no numbers away
    assert asked["1e-9"] == [1, 0]  # a budget begins with one
    assert asked["1e6"] == [16, 16]
    assert run(*words, "--budget", "0").exit_code == 2


def test_a_run_says_first_what_it_will_ask_and_about_how_long():
    done = run(*FEW)
    assert done.exit_code == 0
    assert done.stderr.startswith("2 claims × 1 problem × 1 subject: 2 cases, about ")


def test_what_was_not_asked_is_a_row_and_nobodys_fault_and_can_be_resumed(tmp_path):
    done = run(*FEW, "--budget", "1e-9", "--run", "here", "--json", "first.json")
    assert done.exit_code == 0
    rows = json.loads((tmp_path / "first.json").read_text())["records"]
    assert [row["verdict"] for row in rows] == ["holds", "not asked"]
    assert rows[1]["ok"] and "time" in rows[1]["message"]
    assert "not asked" in done.stdout
    done = run(*FEW, "--run", "here", "--resume", "--json", "second.json")
    assert done.exit_code == 0, done.output
    assert [row["verdict"] for row in json.loads((tmp_path / "second.json").read_text())["records"]] == ["holds"] * 2


def test_answers_of_the_reference_are_kept_unless_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("ODECHECK_REFERENCES", str(tmp_path / "references"))
    assert run(*FEW, "--no-cache", "--run", "without").exit_code == 0
    assert not (tmp_path / "references").exists()
    for name in ("first", "again"):
        assert run(*FEW, "--run", name).exit_code == 0
    spent = [json.loads((tmp_path / name / "run.json").read_text())["spent"] for name in ("without", "first", "again")]
    assert [one["read"] > 0 for one in spent] == [False, False, True] and spent[0]["made"] == spent[1]["made"] > 0


def test_a_budget_of_nothing_is_refused():
    done = run(*FEW, "--budget", "0")
    assert done.exit_code == 2 and "the budget is 0" in done.output


def test_claims_that_no_product_decides_are_asked_beside_it():
    """Which they are, a whole run says: there is no line `No case for` under its table."""
    wanted = {f"ADAM-{n}" for n in (1, 2, 3, 4, 5, 6)} | {"HB-8", "HB-10"}
    wanted |= {f"SNOPT-{n}" for n in (2, 3, 4, 10, 11, 12)}
    assert wanted <= {id for one in beside("quick") for id in one.claims}
    for tier in TIERS:
        assert {id for one in beside(tier) for id in one.claims} <= set(CLAIMS)


# the others cost a second or more each, of the reference: a whole run has them
CHEAP = [one for one in beside("quick") if set(one.claims) & {"ADAM-4", "ADAM-5", "SNOPT-12"}]


@pytest.mark.parametrize("one", CHEAP, ids=lambda one: one.problem.name)
def test_they_are_decided(one):
    for id in one.claims:
        record = evaluate(CLAIMS[id], one.subject, one.problem)
        assert record.ok and record.verdict in (Verdict.HOLDS, Verdict.REFUTED), record


@pytest.mark.parametrize(
    ("arguments", "early"),
    [
        (["--problem", "nobody's"], True),
        (["nobodys.py:subjects"], False),
        (["--plan", "--problem", "nobody's"], False),
        (["--resume", "--run", "nowhere"], False),
    ],
    ids=["shipped", "a target", "a plan", "resumed"],
)
def test_the_forkserver_begins_early_where_nothing_of_a_users_is_asked(arguments, early, monkeypatch):
    """A target may set the environment when it is imported: what starts before it would not see that."""
    begun: list[bool] = []
    monkeypatch.setattr(server, "begin_early", lambda: begun.append(True))
    assert run("verify", *arguments).exit_code == 2
    assert bool(begun) is early
