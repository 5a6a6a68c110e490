"""What trainings are measured by, and the claim about a trained end time on made-up rows: true, false, undecided."""

from __future__ import annotations

import math

import pytest

from odecheck import tasks
from odecheck.judge import Verdict
from odecheck.ledger.benchmark_claims import CLAIMS, SNOPT14, one_in, seconds
from odecheck.ledger.benchmark_rows import verdict
from odecheck.ledger.build import BENCHMARKS
from odecheck.ledger.training_claims import judge_rows
from odecheck.training.rows import Row, frame

TRAINED = ("optimizer", "rate")
MODELS = (*SNOPT14.subjects, *SNOPT14.rivals)


def training(model: str, seed: int, cpu: float, accuracy: float, message: str = "") -> list[Row]:
    about = ("digits-end-time", model, "snopt", 0.02, seed, 100)
    wobble = math.exp(0.01 * seed * (1 if model in SNOPT14.subjects else -1))
    steps = [Row(*about, s, 1, "train", 1.0, cpu_seconds=s * cpu * wobble) for s in (1, 2)]
    return [*steps, Row(*about, 2, 1, "test", 1.0, accuracy - 0.001 * seed, message=message)]


def judged(cpu: float, accuracy: float, message: str = ""):
    """The feedback's CPU time and accuracy; those of the others are 1 and 0.9."""
    rows = [
        row
        for seed in range(5)
        for model in MODELS
        for row in (
            training(model, seed, cpu, accuracy, message)
            if model in SNOPT14.subjects
            else training(model, seed, 1, 0.9)
        )
    ]
    found = [one for one in judge_rows(frame(rows)) if one.claim == "SNOPT-14"]
    assert len(found) == 4
    return verdict(found)


@pytest.mark.parametrize(
    ("cpu", "accuracy", "expected"),
    [
        (0.8, 0.9, Verdict.HOLDS),
        (0.8, 0.89, Verdict.HOLDS),  # a hundredth of the accuracy is within the margin of two
        (0.8, 0.85, Verdict.REFUTED),  # six of a hundred are not
        (1.2, 0.95, Verdict.REFUTED),
        (1.0, 0.9, Verdict.INCONCLUSIVE),
    ],
)
def test_the_end_time_has_to_save_time_and_to_keep_the_accuracy(cpu, accuracy, expected) -> None:
    assert judged(cpu, accuracy) == expected


def test_a_training_that_was_stopped_has_no_number() -> None:
    whole, stopped = frame(training("M", 1, 1, 0.5)), frame(training("M", 1, 1, 0.5, "the loss is nan"))
    assert seconds(whole) == pytest.approx(2 * math.exp(-0.01)) and one_in(whole) == pytest.approx(1 / 0.499)
    assert math.isnan(one_in(stopped))
    assert math.isnan(one_in(frame(training("M", 1, 1, 0.001))))  # nothing right


def test_each_is_in_the_ledger_with_its_own_words() -> None:
    assert {one.id: one.statement for one in CLAIMS} == BENCHMARKS


@pytest.mark.parametrize("claim", CLAIMS, ids=[one.id for one in CLAIMS])
def test_a_place_of_a_paper_is_a_task_with_a_setting_of_these_figures(claim) -> None:
    for name, figures in claim.places.items():
        fits = [
            setting
            for setting in tasks.find(name).settings
            if all(getattr(setting, figure) == value for figure, value in figures.items() if figure not in TRAINED)
            and ("rate" not in figures or setting.rate[figures["optimizer"]] == figures["rate"])
        ]
        assert fits, name


def test_margins_and_columns_are_of_quantities_that_the_claim_has() -> None:
    for claim in CLAIMS:
        assert {*claim.margins, *claim.alike, *claim.evaluated} <= set(claim.quantities)
        assert all(ratio > 1 for ratio in claim.alike.values())
