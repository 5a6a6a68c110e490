"""Benchmark claims can go wrong: a real effect, its opposite and noise get the verdicts that they deserve."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from odecheck.judge import Verdict
from odecheck.ledger import training_claims as claims
from odecheck.ledger.benchmark_rows import verdict as whole
from odecheck.training.rows import Row, frame

HOLDS, REFUTED, INCONCLUSIVE = Verdict.HOLDS, Verdict.REFUTED, Verdict.INCONCLUSIVE
MODELS = ("NODE", "ANODE", "SONODE", "HBNODE", "GHBNODE", "AdamNODE")


def training(
    model="NODE",
    seed=0,
    *,
    nfe=30.0,
    loss=1.0,
    optimizer="adam",
    rate=0.01,
    parameters=1000,
    message="",
    steps=20,
    seconds=1.0,
):
    """A training whose loss falls from 10 × loss to loss in steps that take `seconds`, on test rows to twice that."""
    fall = np.geomspace(10 * loss, loss, steps)
    about = ("made", model, optimizer, rate, seed, parameters)
    tests = [Row(*about, i + 1, 1, "test", 2 * float(fall[i]), cpu_seconds=seconds * (i + 1)) for i in range(steps)]
    return tests + [
        Row(
            *about,
            i + 1,
            1,
            "train",
            float(fall[i]),
            nfe_forward=nfe,
            nfe_backward=2 * nfe,
            cpu_seconds=seconds * (i + 1),
            message=message if i == steps - 1 else "",
        )
        for i in range(steps)
    ]


def judged(rows, claim):
    found = [one for one in claims.judge_rows(frame(rows)) if one.claim == claim]
    return whole(found), found


def models(factor, noise, *, seeds=5, quantity="nfe", subjects=("HBNODE", "GHBNODE"), seed=0, **more):
    """Every model, with a log-normal number for each seed; that of the subjects times `factor`."""
    rng = np.random.default_rng(seed)
    return [
        row
        for s in range(seeds)
        for m in MODELS
        for row in training(
            m, s, **{quantity: 30 * (factor if m in subjects else 1) * math.exp(noise * rng.standard_normal())}, **more
        )
    ]


@pytest.mark.parametrize(("factor", "expected"), [(0.5, HOLDS), (2.0, REFUTED), (1.0, INCONCLUSIVE)])
def test_evaluations_are_compared_over_seeds(factor, expected) -> None:
    verdict, found = judged(models(factor, 0.05), "HB-9")
    assert verdict == expected
    assert len(found) == 2 * 3 * 2
    assert all(one.n == 5 and one.low <= one.ratio <= one.high for one in found)
    assert np.exp(np.mean([math.log(one.ratio) for one in found])) == pytest.approx(factor, rel=0.1)


@pytest.mark.parametrize(("factor", "expected"), [(0.3, HOLDS), (3.0, REFUTED)])
def test_the_loss_is_compared_over_seeds(factor, expected) -> None:
    rows = models(factor, 0.05, quantity="loss", subjects=("AdamNODE",))
    found = [one for one in judged(rows, "ADAM-7")[1] if one.quantity == "training loss"]
    assert {one.verdict for one in found} == {expected}


def test_a_state_that_goes_as_far_is_no_more_stable() -> None:
    """Overshoot is what stability is judged by, whatever the loss: 0.3 of it does not make a training more stable."""
    rows = models(0.3, 0.0, quantity="loss", subjects=("AdamNODE",))
    rows = [replace(row, overshoot=2.0) if row.split == "test" else row for row in rows]
    found = [o for o in judged(rows, "ADAM-7")[1]]
    assert {o.verdict for o in found if o.quantity == "overshoot"} == {REFUTED}


@pytest.mark.parametrize(("far", "expected"), [(1.1, HOLDS), (9.0, REFUTED)])
def test_the_overshoot_is_compared_over_seeds(far, expected) -> None:
    """The largest one of a training counts, also where its last evaluation is back at the start."""
    rows = [
        replace(
            row,
            overshoot=1.0
            if row.step == 20
            else (far if row.model == "AdamNODE" else 3.0) * (1 + row.seed * (1 + len(row.model)) / 500),
        )
        if row.split == "test"
        else row
        for row in models(1.0, 0.05, quantity="loss")
    ]
    found = [one for one in judged(rows, "ADAM-7")[1] if one.quantity == "overshoot"]
    assert len(found) == 5 and {one.verdict for one in found} == {expected}


def test_a_run_in_which_no_overshoot_was_measured_says_nothing_of_it() -> None:
    found = judged(models(0.3, 0.05, quantity="loss"), "ADAM-7")[1]
    assert found and {one.quantity for one in found} == {"training loss"}


def test_one_rival_with_less_refutes_a_claim_about_all() -> None:
    rows = [
        row
        for s in range(5)
        for m in MODELS
        for row in training(m, s, nfe={"HBNODE": 20, "GHBNODE": 20, "SONODE": 9}.get(m, 30) + s / 9)
    ]
    verdict, found = judged(rows, "HB-9")
    assert verdict == REFUTED
    assert {one.rival for one in found if one.verdict == REFUTED} == {"SONODE"}


@pytest.mark.parametrize("seeds", [1, 2])
def test_two_pairs_prove_nothing(seeds) -> None:
    verdict, found = judged(models(0.01, 0.0, seeds=seeds), "HB-9")
    assert verdict == INCONCLUSIVE and "fewer than 3" in found[0].note


def test_models_of_unequal_size_are_not_compared() -> None:
    rows = [
        row
        for s in range(5)
        for m in MODELS
        for row in training(m, s, nfe=10 if "HB" in m else 30, parameters=500 if "HB" in m else 1000)
    ]
    verdict, found = judged(rows, "HB-9")
    assert verdict == INCONCLUSIVE and "500 to 1000 parameters" in found[0].note


def test_a_rival_that_was_not_trained_is_missed() -> None:
    rows = [row for row in models(0.5, 0.01) if row.model != "ANODE"]
    verdict, found = judged(rows, "HB-9")
    assert verdict == INCONCLUSIVE
    assert {one.rival for one in found if one.verdict == INCONCLUSIVE} == {"ANODE"}


@pytest.mark.parametrize(("who", "expected"), [("AdamNODE", REFUTED), ("NODE", HOLDS)])
def test_a_training_that_diverges_has_lost(who, expected) -> None:
    rows = [
        row
        for s in range(5)
        for m in ("AdamNODE", "NODE")
        for row in training(m, s, loss=1 + 0.01 * s, message="it is nan" if m == who else "")
    ]
    found = [o for o in judged(rows, "ADAM-7")[1] if o.rival == "NODE" and o.quantity == "training loss"]
    assert found[0].verdict == expected
    assert (found[0].lost, found[0].rival_lost) == ((5, 0) if who == "AdamNODE" else (0, 5))


def test_a_claim_of_which_no_rival_was_trained_is_not_asked() -> None:
    rows = frame([row for row in models(0.5, 0.01) if "HB" in row.model])
    assert not [one for one in claims.judge_rows(rows) if one.claim == "HB-9"]


def optimizers(snopt_loss, *, seconds=1.0):
    """SNOpt at three rates of which 0.1 is best and 0.3 diverges, SGD and Adam at one; seed 100 is for the choice."""
    rows = []
    for s in (0, 1, 2, 3, 4, 100):
        wobble = math.exp(0.02 * s) if s < 100 else 1.0
        for rate, loss in ((0.01, 5.0), (0.1, snopt_loss), (0.3, 1e-9)):
            rows += training(
                "M",
                s,
                optimizer="snopt",
                rate=rate,
                loss=loss * wobble,
                seconds=seconds,
                message="the loss is nan" if rate == 0.3 else "",
            )
        rows += training("M", s, optimizer="sgd", loss=1.0) + training("M", s, optimizer="adam", loss=1.1)
    return rows


@pytest.mark.parametrize(("loss", "expected"), [(0.2, HOLDS), (3.0, REFUTED)])
def test_optimizers_are_compared_at_their_best_rates(loss, expected) -> None:
    verdict, found = judged(optimizers(loss), "SNOPT-13")
    assert verdict == expected and all(one.lost == 0 and one.n == 5 for one in found)


def test_a_step_that_takes_five_times_as_long_counts_for_less() -> None:
    """At equal steps SNOpt's loss is 0.2 of the others'; at equal CPU time it has come a fifth of the way."""
    assert judged(optimizers(0.2), "SNOPT-13")[0] == HOLDS
    assert judged(optimizers(0.2, seconds=5.0), "SNOPT-13")[0] == REFUTED


def test_a_loss_that_is_lower_only_where_it_was_trained_is_no_proof() -> None:
    rows = [
        replace(row, loss=5.0 * row.loss) if (row.optimizer, row.split) == ("snopt", "test") else row
        for row in optimizers(0.3)
    ]
    verdict, found = judged(rows, "SNOPT-13")
    assert verdict == REFUTED
    assert {one.quantity for one in found if one.verdict == REFUTED} == {"held-out loss at equal CPU time"}


def test_trainings_that_choose_a_rate_do_not_judge_it() -> None:
    best = claims.best_rates(frame(optimizers(0.2)), "optimizer")
    assert set(best["seed"]) == {0, 1, 2, 3, 4}
    assert set(best[best["optimizer"] == "snopt"]["learning_rate"]) == {0.1}


def test_trainings_that_choose_a_rate_do_not_judge_models_either() -> None:
    """On the judging seeds all models need the same; on seeds of 100 and more HBNODE and GHBNODE need half."""
    rows = models(1.0, 0.05) + [
        row for s in range(100, 140) for m in MODELS for row in training(m, s, nfe=15.0 if "HB" in m else 30.0)
    ]
    verdict, found = judged(rows, "HB-9")
    assert verdict == INCONCLUSIVE and all(one.n == 5 for one in found)


def test_several_rates_without_a_choice_are_refused() -> None:
    rows = frame([row for row in optimizers(0.2) if row.seed < 100])
    with pytest.raises(ValueError, match="no tuning seed"):
        claims.best_rates(rows, "optimizer")


def test_the_interval_covers_as_often_as_it_says() -> None:
    """4,000 samples of five from a normal distribution with mean 0: each end is wrong in 5 % of them, and so is a
    verdict about equal models. The binomial standard deviation is 0.35 %; four of them are allowed."""
    rng = np.random.default_rng(0)
    ends = [claims.interval(r)[1:] for r in rng.standard_normal((4000, 5))]
    verdicts = pd.Series([claims.decide(low, high, 5) for low, high in ends])
    for wrong in (HOLDS, REFUTED):
        assert (verdicts == wrong).mean() == pytest.approx(0.05, abs=0.014)


def test_equal_numbers_are_not_fewer() -> None:
    assert judged(models(1.0, 0.0), "HB-9")[0] == REFUTED
