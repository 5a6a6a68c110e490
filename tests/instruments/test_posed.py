"""Two problems are one to who keeps answers where they ask a solver the same, and no others are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from odecheck_reference import Problem, catalogue
from odecheck_reference.fields import Linear
from odecheck_reference.losses import Linear as LinearLoss

from odecheck.fields.callback import CallbackField
from odecheck.instruments.posed import Posed

PROBLEM = catalogue.quick()[0]


def again(**changes: object) -> Problem:
    """The same numbers in other arrays, under another name."""
    same = PROBLEM.with_(name="another", y0=PROBLEM.y0.copy(), theta=PROBLEM.theta.copy(), ts=PROBLEM.ts.copy())
    return same.with_(field=Linear(2, time=True)).with_(**changes)


@pytest.mark.parametrize("losses", [True, False])
def test_problems_of_the_same_numbers_are_one(losses):
    one, other = Posed(PROBLEM, losses), Posed(again(), losses)
    assert one == other and hash(one) == hash(other)


@pytest.mark.parametrize(
    "changes",
    [
        {"y0": np.nextafter(PROBLEM.y0, 9.0)},
        {"theta": np.nextafter(PROBLEM.theta, 9.0)},
        {"ts": PROBLEM.ts + 1.0},
        {"ts": PROBLEM.ts[::-1]},
        {"field": Linear(2, time=False), "theta": PROBLEM.theta[: Linear(2).params]},
    ],
    ids=["y0", "theta", "later", "backwards", "field"],
)
@pytest.mark.parametrize("losses", [True, False])
def test_problems_of_other_numbers_are_not(changes, losses):
    assert Posed(PROBLEM, losses) != Posed(again(**changes), losses)


def test_a_loss_counts_where_it_is_asked_about():
    other = again(loss=LinearLoss(np.ones(PROBLEM.observations)))
    assert Posed(PROBLEM, losses=False) == Posed(other, losses=False)
    assert Posed(PROBLEM, losses=True) != Posed(other, losses=True)
    assert Posed(PROBLEM, losses=True) != Posed(PROBLEM, losses=False)


@dataclass(frozen=True)
class Own(Linear):
    """A class of somebody else's: the same numbers may be another field."""


def test_fields_of_somebody_elses_are_themselves_alone():
    module = torch.nn.Linear(2, 2).double()
    theta = np.zeros(6)
    for made in (lambda: CallbackField(module, (2,)), lambda: Own(2)):
        field = made()
        theta = np.zeros(field.params)
        one = PROBLEM.with_(field=field, theta=theta)
        assert Posed(one, losses=True) == Posed(one.with_(name="another"), losses=True)
        assert Posed(one, losses=True) != Posed(one.with_(field=made()), losses=True)
