"""The selftest's own parts: mutants are made and refuted, drawn pairs are the same everywhere, journals resume."""

from __future__ import annotations

import ast
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from odecheck.claims import ALL
from odecheck.cli import app
from odecheck.errors import BadInput
from odecheck.judge import Verdict
from odecheck.record import evaluate
from odecheck.runner.limits import Limits
from odecheck.runner.pool import Job, in_processes
from odecheck.selftest import (
    bars,
    battery,
    curve,
    discernment,
    false_alarms,
    journal,
    mutation,
    operators,
    source,
)
from odecheck.selftest import (
    markdown as words,
)
from odecheck.selftest import (
    summary as report,
)
from odecheck.selftest.exemptions import KEPT, SURVIVORS

LAW = '''
def rate(t, y, a, b):
    """a + b"""
    total = 0
    for x in y:
        total += x
    if t > 0:
        raise ValueError(f"{a + b}")
    return a * y - b.T @ f(t, y[1:])
'''


@pytest.fixture
def law(tmp_path, monkeypatch):
    path = tmp_path / "law.py"
    path.write_text(LAW)
    monkeypatch.setattr(source, "path_of", lambda module: path)
    return source.mutants("odecheck.law")


def test_every_family_finds_its_place(law):
    found = {(m.family, m.after) for m in law}
    assert ("sign", "a * y + b.T @ f(t, y[1:])") in found
    assert ("dropped term", "a * y") in found
    assert ("doubled term", "a * y - 2 * (b.T @ f(t, y[1:]))") in found
    assert ("transpose", "b") in found
    assert ("wrong time", "f(0 * t, y[1:])") in found
    assert ("wrong index", "y[:-1]") in found
    assert ("stale state", "pass") in found
    assert {m.family for m in law} >= {"scale 1 + 1e-6", "float32"}
    # messages of errors and docstrings compute nothing
    assert not any("a + b" in m.before for m in law)


def test_a_mutant_differs_in_one_place(law):
    right = ast.dump(ast.parse(LAW))
    texts = [ast.unparse(source.mutated(m)) for m in law]
    assert len(set(texts)) == len(law)
    assert all(ast.dump(ast.parse(text)) != right for text in texts)
    assert all(m.after in text for m, text in zip(law, texts, strict=True))


def test_keys_are_different_and_survivors_that_are_explained_exist():
    everything = [m.key for module in source.modules() for m in source.mutants(module)]
    assert len(everything) > 1000
    assert len(set(everything)) == len(everything)
    named = {name for name in SURVIVORS if not name.startswith("odecheck.")}
    known = {*everything, *operators.of_claims()}
    assert {name for name in named if ":" in name and " -> " in name} <= known
    assert set(KEPT) <= {claim.id for claim in battery.CLAIMS}


def test_what_an_engine_answers_is_changed_in_one_part():
    subject = operators.kept(battery.DISCRETE)
    problem = battery.problems()["clocked"]
    right, hessian = subject.gradient(problem), subject.hessian(problem)
    for part, family, change in operators.mutants():
        if part in ("theta", "interior times", "Q_xtheta"):
            wrong = change(subject)
            got = wrong.gradient(problem)
            assert np.array_equal(got.y0, right.y0)
            assert np.array_equal(got.theta, right.theta) == (part != "theta")
            assert np.array_equal(got.ts, right.ts) == (part != "interior times"), family
            assert np.array_equal(wrong.hessian(problem), hessian) == (part != "Q_xtheta")


def test_the_draw_reaches_every_module_and_family():
    """Where a case executes every line; the few come from modules in turn, not from the largest."""
    everything = [m for module in source.modules() for m in source.mutants(module)]
    lines = {(m.file, m.line) for m in everything}
    base = mutation.Baseline({"case": battery.Outcome("case", "SOL-2", "holds", 0.1)}, {"case": lines}, {"case"})
    taken, many, unreached = mutation.drawn(1, base, 150)
    assert (len(taken), many, unreached) == (150, len(everything), {})
    assert {m.module for m in taken} == {m.module for m in everything}
    assert {m.family for m in taken} == {m.family for m in everything}
    assert [m.key for m in mutation.drawn(1, base, 150)[0]] == [m.key for m in taken]
    one_of_each_room = {(m.file, m.line) for m in {m.module.split(".")[1]: m for m in everything}.values()}
    few = mutation.Baseline(base.right, {"case": one_of_each_room}, {"case"})
    elsewhere = sum((m.file, m.line) not in one_of_each_room for m in everything)
    assert sum(mutation.drawn(1, few, 5)[2].values()) == elsewhere > len(everything) - 60


@pytest.mark.parametrize("claim", battery.HERE, ids=lambda claim: claim.id)
def test_what_the_battery_alone_asks_holds_and_is_refuted_of_wrong_subjects(claim):
    case = next(c for c in battery.cases(battery.problems()) if c.claim is claim)
    assert battery.outcome(case).verdict == Verdict.HOLDS
    for mutant in claim.mutants:
        assert battery.outcome(case, mutant).verdict == Verdict.REFUTED, mutant.name


def test_an_adjoint_of_steps_that_is_right_in_the_limit_is_refuted():
    """One step's Jacobian is not transposed: the shorter it is, the less is wrong. No claim of the flow decides it."""
    known = battery.problems()
    problems = {"on the grid": known["on the grid"]}
    keys = [f"{claim} | rk4(step=0.0625), odecheck.discrete | on the grid" for claim in ("NODE-1", "STEP-1")]
    right = {key: battery.Outcome(key, key.split(" ")[0], "holds", 0.1) for key in keys}
    name = "discrete.recursion.Blocks.adjoint: self.m[0].mT -> self.m[0]"
    (mutant,) = (m for m in source.mutants("odecheck.discrete.recursion") if m.key == name)
    job = mutation._job(name, 300.0, mutation._judge_source, mutant, keys, problems, 1e9, right)
    ((_, rows),) = in_processes([job], 1, start="fork")
    assert (rows[0]["killers"], rows[0]["undecided"]) == ("STEP-1", "NODE-1"), rows


def test_five_errors_in_a_row_end_a_mutant():
    class Broken(torch.nn.Linear):
        def forward(self, *_):
            raise ZeroDivisionError

    cases = [c for c in battery.cases(battery.problems()) if c.claim.id == "SOL-2"]
    right = {c.key: battery.Outcome(c.key, c.claim.id, "holds", 0.1) for c in cases}
    assert len(cases) > battery.ENOUGH
    found = list(battery.judged(cases, right, lambda s: replace(s, around=(lambda _: Broken(1, 1),)), budget=0.0))
    assert [one.verdict for one in found] == ["error"] * battery.ENOUGH


def test_mutants_of_the_source_are_refuted_and_the_right_source_is_not():
    """Judged in processes of their own, by a part of the battery."""
    known = battery.problems()
    problems = {name: known[name] for name in ("clocked", "heavy ball of a gradient")}
    cases = {
        "NODE-2 | dopri8(rtol=1e-10, landing), odecheck.discrete | clocked",
        "HB-2 | dopri8(rtol=1e-10, landing), odecheck.discrete | heavy ball of a gradient #0",
    }
    right = {key: battery.Outcome(key, key.split(" ")[0], "holds", 0.1) for key in cases}
    scaled = "fields.heavy_ball.HBNODE.forward: self.sign * m -> _odecheck_scaled(self.sign * m)"
    (mutant,) = (m for m in source.mutants("odecheck.fields.heavy_ball") if m.key == scaled)
    arguments = mutant, list(cases), problems, 1e9, right
    job = mutation._job(scaled, 300.0, mutation._judge_source, *arguments)
    ((_, rows),) = in_processes([job], 1, start="fork")
    assert rows[0]["status"] == mutation.REFUTED, rows
    assert "HB-2" in rows[0]["killers"]
    assert rows[0]["holds"] == "NODE-2"


def _ends(how):
    if how == "raises":
        raise ValueError("on purpose")
    if how == "spins":
        while True:
            pass
    return how


def test_a_mutant_that_crashes_or_never_ends_does_not_end_the_run():
    jobs = [mutation._job(how, 1.0, _ends, how) for how in ("raises", "spins", "answers")]
    found = dict(in_processes(jobs, 2, start="fork"))
    assert "on purpose" in found["raises"].trace
    assert found["spins"].why == "died"
    assert found["answers"] == "answers"


def test_an_unexplained_survivor_is_trouble():
    survivor = mutation.row("made up", "sign", "ode", mutation.Verdicts(holds=["NODE-1"]))
    dead = mutation.row("dead", "sign", "ode", mutation.Verdicts(killers=["NODE-1"]))
    made = report.summary({"mutants": [survivor, dead]}, {"seed": 0, "versions": {}})
    assert made["mutants"]["score"] == 0.5
    assert any("made up" in line for line in report.bad(made))
    assert "made up" in words.to_markdown(made, {"mutants": [survivor, dead]})


def test_the_page_has_its_scores_first_and_a_pivot_of_families(tmp_path):
    rows = [
        mutation.row(f"{part} {family} {how}", family, part, mutation.Verdicts(**{how: ["NODE-1"]}))
        for part in ("y0", "ode")
        for family in ("sign", "float32")
        for how in ("killers", "holds")
    ]
    claims = [("NODE-2", "odecheck.odeint", 1e-8, 8e-11), ("NODE-2", "odecheck.odeint", 1e-6, 6e-10)]
    levels = [
        {
            "test": test,
            "engine": engine,
            "rtol": rtol,
            "part": "theta",
            "verdict": "holds",
            "resolved": 0.0,
            "smallest_refuted": by,
        }
        for test, engine, rtol, by in (*claims, ("gradcheck, defaults", "", math.nan, 1e-3))
    ]
    parts = {"mutants": {"seed": 1, "asked": 4, "cpu_seconds": 60.0, "commits": ["abc"]}}
    facts = {"seed": 1, "versions": {"odecheck": "0"}, "parts": parts}
    found = {"mutants": rows, "discernment": levels}
    page = words.to_markdown(report.summary(found, facts), found)
    assert page.index("**4 of 8**") < page.index("## Mutation score") < page.index("### Survivors")
    assert "| ode | **1/2** | **1/2** | **2/4** |" in page
    assert "**8e-11**" in page and "| 0.001 |" in page
    assert "`odecheck selftest --part mutants --mutants 4 --seed 1` | 1.0 | abc |" in page
    curve.draw(levels, tmp_path / "selftest.svg")
    assert "gradcheck, defaults" in (tmp_path / "selftest.svg").read_text()


def test_batches_are_the_same_everywhere_and_differ():
    one, again, other = (false_alarms.batch(3, k, 1) for k in (0, 0, 1))
    digests = [[(false_alarms.digest(p), s.name) for p, s in batch] for batch in (one, again, other)]
    assert digests[0] == digests[1] != digests[2]
    assert len({s.name for _, s in one}) == len(one) == false_alarms.SUBJECTS


def test_a_claim_that_refutes_the_right_subject_is_a_false_alarm():
    problem, _ = false_alarms.batch(3, 0, 1)[0]
    subject = false_alarms.CORRECT[1]
    wrong = operators.altered(subject.engine, "y0", "doubled term")
    bad = evaluate(next(c for c in ALL if c.id == "NODE-1"), replace(subject, engine=wrong), problem)
    assert bad.verdict == Verdict.REFUTED
    assert false_alarms.false_alarm(bad, subject, problem)


def _work(argument):
    return [{"value": argument}]


def test_a_journal_resumes_and_refuses_another_seed(tmp_path):
    path, pieces = tmp_path / "j.jsonl", [journal.Piece(str(i), i) for i in range(4)]
    journal.through(pieces[:2], _work, path, {"seed": 0})
    with path.open("a") as file:
        file.write('{"key": "2", "ro')  # cut off
    done: list[str] = []
    found = journal.through(pieces, _work, path, {"seed": 0}, resume=True, progress=done.append)
    assert done == ["2", "3"]
    assert [found[str(i)][0]["value"] for i in range(4)] == [0, 1, 2, 3]
    with pytest.raises(BadInput, match="begun with"):
        journal.through(pieces, _work, path, {"seed": 1}, resume=True)
    with pytest.raises(BadInput, match="already holds"):
        journal.through(pieces, _work, path, {"seed": 0})


def test_the_smallest_defect_is_found_by_bisection():
    assert discernment.smallest(lambda by: by > 3e-7) == pytest.approx(3e-7, rel=0.2)
    assert math.isinf(discernment.smallest(lambda by: False))


def test_gradcheck_lets_a_defect_pass_that_a_claim_refutes():
    assert not discernment.torchdiffeq_gradcheck("y0", 3e-4)
    assert discernment.torchdiffeq_gradcheck("y0", 0.1)
    subject = operators.kept(battery.DISCRETE)
    wrong = discernment._scaled("y0", 1 + 3e-4)(subject)
    claim = next(c for c in ALL if c.id == "NODE-1")
    assert evaluate(claim, wrong, battery.problems()["clocked"]).verdict == Verdict.REFUTED


def test_the_command_measures_writes_and_says_what_it_does_not_know(tmp_path):
    command = ["selftest", "--part", "bars", "--problems", "2", "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [*command, "--write", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    made = json.loads((tmp_path / "out" / "selftest.json").read_text())
    assert made["bars"]["drawn"] == 2
    assert made["bars"]["outside"] == 0
    assert "2 problems" in (tmp_path / "out" / "selftest.md").read_text()
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


def test_a_bar_that_is_too_narrow_is_counted():
    narrow = [[{"seed": 0, "quantity": "loss", "score": 2.0, "slack": 0.5, "name": "x"}]]
    assert bars.summary(narrow)["outside"] == 1


def test_the_bar_holds_for_a_state_of_no_size():
    """Found by `--part bars --seed 1`, problem 1001761: Van der Pol's equation at 1e-12, off by 50 bars."""
    (row,) = bars.rows(1001761, ("solution",))
    assert row.score <= 1


def _shared_among_threads() -> float:
    return float(torch.tanh(torch.ones(2_000_000)).sum())


def test_a_forked_process_does_not_wait_for_threads_that_it_does_not_have():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = _shared_among_threads()  # the pool of threads is made here
        ((_, found),) = in_processes([Job("tanh", _shared_among_threads, limits=Limits(cpu=5.0))], 1, start="fork")
    finally:
        torch.set_num_threads(threads)
    assert found == pytest.approx(expected, rel=1e-5)
