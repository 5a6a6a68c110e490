"""What several runs come to: the paper's own figures judge its sentence, and verdicts have an order."""

from __future__ import annotations

from dataclasses import replace

from odecheck.judge import Verdict
from odecheck.ledger.benchmark_claims import HB9
from odecheck.ledger.benchmark_rows import ledger_row, worst
from odecheck.ledger.design import NO_DIFFERENCE
from odecheck.ledger.training_claims import judge_rows
from odecheck.training.rows import frame
from tests.ledger.test_training_claims import models

HOLDS = Verdict.HOLDS


def at(task: str, setting: dict, rows):
    """The comparisons of HB-9 on trainings, named so, at these figures."""
    rows = [replace(row, task=task) for row in rows]
    found = judge_rows(frame(rows), {"cases": {"task": task, "setting": setting}})
    return [one for one in found if one.claim == "HB-9"]


SPHERES = {"epochs": 300, "batch": 50, "tolerance": 1e-3, "clip": None}
PAPERS, LONGER = SPHERES, SPHERES | {"epochs": 3000}


def test_only_the_papers_own_figures_are_a_verdict_on_the_paper() -> None:
    """A run of ours may come to what it likes: it stands beside, and the sentence of the paper is not judged by it."""
    bad, good = models(2.0, 0.01), models(0.5, 0.01)
    row = ledger_row(HB9, [*at("spheres", PAPERS, good), *at("silverbox", LONGER, bad)])
    assert row["verdict"] == Verdict.HOLDS
    beside = "spheres: holds; findings at other figures, no verdict on the paper: silverbox: refuted"
    assert row["note"] == f"{beside} (training.md)"
    assert ledger_row(HB9, at("spheres", PAPERS, bad))["verdict"] == Verdict.REFUTED
    for ours in (
        at("silverbox", PAPERS, bad),
        at("spheres", LONGER, bad),
        at("spheres", PAPERS, [replace(row, learning_rate=0.1) for row in bad]),
        at("spheres", PAPERS, [replace(row, optimizer="sgd") for row in bad]),
        judge_rows(frame([replace(row, task="spheres") for row in bad])),
    ):
        said = ledger_row(HB9, [one for one in ours if one.claim == "HB-9"])
        assert said["verdict"] == Verdict.NOT_APPLICABLE and "no training kept at figures of the paper" in said["note"]
        assert "refuted" in said["note"]


def test_what_several_verdicts_come_to() -> None:
    assert worst({HOLDS, NO_DIFFERENCE}) == NO_DIFFERENCE
    assert worst({HOLDS, NO_DIFFERENCE, Verdict.INCONCLUSIVE}) == Verdict.INCONCLUSIVE
    assert worst({NO_DIFFERENCE, Verdict.REFUTED}) == Verdict.REFUTED and worst({HOLDS}) == HOLDS
    assert worst(set()) == Verdict.INCONCLUSIVE


def test_a_run_with_a_design_is_asked_before_one_without() -> None:
    """A handful of seeds that somebody looked at afterwards adds nothing to what was fixed before."""
    after, before = at("spheres", PAPERS, models(2.0, 0.01)), at("spheres", PAPERS, models(0.5, 0.01))
    designed = [replace(one, designed=True) for one in before]
    assert ledger_row(HB9, [*after, *designed])["verdict"] == HOLDS
    assert ledger_row(HB9, [*designed, *after])["verdict"] == HOLDS
    # of which there is not one look yet
    begun = [replace(one, n=0, verdict=Verdict.INCONCLUSIVE) for one in designed]
    assert ledger_row(HB9, [*after, *begun])["verdict"] == Verdict.REFUTED
