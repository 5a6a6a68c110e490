"""Trainings that differ have names that differ, and as many steps as their setting says."""

from __future__ import annotations

from dataclasses import replace

from odecheck.training.trial import steps_of
from tests.training.spheres import DATA, SHORT, trial


def test_names_tell_trainings_apart() -> None:
    first = trial(rate=0.1)
    others = [
        trial("HBNODE", rate=0.1),
        trial(optimizer="sgd", rate=0.1),
        trial(seed=1, rate=0.1),
        trial(rate=0.2),
        replace(first, knobs=(("beta1", 0.5),)),
    ]
    assert len({one.name for one in [first, *others]}) == 6
    assert trial().learning_rate == SHORT.rate["adam"] and first.learning_rate == 0.1


def test_a_batch_that_is_not_full_is_a_step() -> None:
    assert steps_of(SHORT, DATA) == SHORT.epochs
    assert steps_of(replace(SHORT, batch=20, epochs=2), DATA) == 6
