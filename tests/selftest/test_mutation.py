"""Mutants are drawn from all rooms and families, and judged in processes of their own."""

from __future__ import annotations

from odecheck.runner.pool import in_processes
from odecheck.selftest import battery, mutation, source


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


def test_an_adjoint_of_steps_that_is_right_in_the_limit_is_refuted():
    """One step's Jacobian is not transposed: the shorter it is, the less is wrong. No claim of the flow decides it."""
    known = battery.problems()
    problems = {"on the grid": known["on the grid"]}
    keys = [f"{claim} | rk4(step=0.0625), odecheck.discrete | on the grid" for claim in ("NODE-1", "STEP-1")]
    right = {key: battery.Outcome(key, key.split(" ")[0], "holds", 0.1) for key in keys}
    name = "discrete.recursion.Blocks.adjoint: self.m[0].mT -> self.m[0]"
    (mutant,) = (m for m in source.mutants("odecheck.discrete.recursion") if m.key == name)
    job = mutation._job(name, 300.0, mutation.judge_source, mutant, keys, problems, 1e9, right)
    ((_, rows),) = in_processes([job], 1, start="fork")
    assert (rows[0]["killers"], rows[0]["undecided"]) == ("STEP-1", "NODE-1"), rows


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
    job = mutation._job(scaled, 300.0, mutation.judge_source, *arguments)
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
