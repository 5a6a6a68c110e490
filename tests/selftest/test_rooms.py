"""Which rooms are mutated is found by looking: a new one that the battery executes is, and nobody lists it."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path

import pytest

from odecheck.commands import selftest as command
from odecheck.runner.pool import in_processes
from odecheck.selftest import battery, markdown, mutation, rooms, source, summary


def executing(*rooms_: str) -> mutation.Baseline:
    """A baseline in which a case executes every line of these rooms."""
    every = [m for module in source.modules(rooms_) for m in source.mutants(module)]
    outcome = battery.Outcome("case", "SOL-2", "holds", 0.1)
    return mutation.Baseline({"case": outcome}, {"case": {(m.file, m.line) for m in every}}, {"case"})


def test_every_room_is_mutated_or_left_out_for_a_reason():
    taken = rooms.mutable()
    assert {"ode", "discrete", "second_order", "fields", "curvature", "optim", "engines", "solvers"} <= set(taken)
    reasons = rooms.left_out(taken)
    assert sorted([*taken, *reasons]) == rooms.every()
    assert reasons["report"] == reasons["commands"] == rooms.NOT_IMPORTED
    assert reasons["judge"].startswith("it judges")


def test_those_that_judge_are_rooms_that_the_battery_imports():
    """A name that is no room any more, or that the battery has left, is not left standing."""
    assert set(rooms.JUDGES) <= set(rooms.imported())


def test_a_room_that_no_case_executes_is_left_out_and_said():
    base = executing("ode", "fields")
    assert base.rooms() == ["fields", "ode"]
    assert rooms.left_out(base.rooms())["optim"] == rooms.NOT_EXECUTED
    taken, _, _ = mutation.drawn(0, base, 50)
    assert {m.module.split(".")[1] for m in taken} == {"ode", "fields"}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of odecheck's text, with a new room that the ode's flow imports."""
    root = tmp_path / "odecheck"
    shutil.copytree(rooms.ROOT, root, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "quadrature").mkdir()
    (root / "quadrature" / "__init__.py").write_text("")
    (root / "quadrature" / "rules.py").write_text("def rule(a, b):\n    return a * b + a\n")
    flow = root / "ode" / "flow.py"
    text = flow.read_text().splitlines(keepends=True)
    last = ast.parse(flow.read_text()).body[1].lineno
    flow.write_text("".join([*text[:last], "from odecheck.quadrature.rules import rule\n", *text[last:]]))
    monkeypatch.setattr(rooms, "ROOT", root)
    monkeypatch.setattr(source, "ROOT", root)
    rooms.imported.cache_clear()
    yield root
    rooms.imported.cache_clear()


def test_a_new_numerics_folder_is_mutated_without_a_list(copy: Path):
    assert "quadrature" in rooms.mutable()
    base = executing("ode", "quadrature")
    taken, _, unreached = mutation.drawn(0, base, 60)
    assert "odecheck.quadrature.rules" in {m.module for m in taken} and not unreached
    assert rooms.left_out(executing("ode").rooms())["quadrature"] == rooms.NOT_EXECUTED


def test_what_a_case_executes_is_traced_in_every_room_that_may_be_mutated():
    """One unit of the battery on the right source, in a process of its own."""
    known = battery.problems()
    names = [key[0].problem.name for key in battery.units(known)]
    number = names.index("logistic")
    ((_, found),) = in_processes([mutation._job("one", 600.0, mutation._measured, number, known)], 1, start="fork")
    base, _ = found
    assert {"discrete", "engines", "fields", "solvers"} <= set(base.rooms())
    assert "judge" not in base.rooms()


def test_the_run_keeps_and_tells_which_rooms_are_left_out(tmp_path, monkeypatch):
    """The command's own way, on a right source that was judged before."""
    monkeypatch.setattr(mutation, "baseline", lambda *_, **__: (executing("ode", "fields"), mutation.KeptRuns()))
    monkeypatch.setattr(mutation.KeptRuns, "install", lambda self: None)
    monkeypatch.setattr(mutation, "run", lambda *_, **__: [])
    assert command._mutants(5, tmp_path / "mutants.jsonl", command._How(0, 1, None, False), {}) == []
    told = json.loads((tmp_path / "drawn.json").read_text())
    assert set(told["rooms_left_out"]) == set(rooms.every()) - {"ode", "fields"}
    rows = [mutation.row("dead", "sign", "ode", mutation.Verdicts(killers=["NODE-1"]))]
    made = summary.summary({"mutants": rows}, {"seed": 0, "versions": {}, **told})
    page = markdown.to_markdown(made, {"mutants": rows})
    assert f"| report | {rooms.NOT_IMPORTED} |" in page and "| judge | it judges: the verdict |" in page
