"""Draws of knobs: the same in every run, in their ranges, each of another rate, and what an optimizer makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from odecheck.errors import BadInput
from odecheck.training.optimizers import DEFAULT, Stepper
from odecheck.training.search import KNOBS, Range, draws, told


@pytest.mark.parametrize("optimizer", KNOBS)
def test_draws_are_the_same_and_in_their_ranges(optimizer: str) -> None:
    found = draws(optimizer, 40)
    assert found[:5] == draws(optimizer, 5) and len({one.rate for one in found}) == 40
    ranges = KNOBS[optimizer]
    steps = [one.rate / (1 - dict(one.knobs).get("momentum", 0.0)) for one in found]
    assert all(0.99 * ranges["rate"].low <= step <= 1.01 * ranges["rate"].high for step in steps)
    assert all([*ranges][1:] == [name for name, _ in one.knobs] == [*DEFAULT[optimizer]] for one in found)
    for place, one in enumerate([*ranges.values()][1:]):
        values = [1 - draw.knobs[place][1] if one.kept else draw.knobs[place][1] for draw in found]
        assert all(one.low - 1e-6 <= value <= one.high + 1e-6 for value in values) and len(set(values)) > 10


@pytest.mark.parametrize("optimizer", KNOBS)
def test_a_few_draws_leave_no_wide_gap(optimizer: str) -> None:
    """Of eight, no two neighbours are further apart than a quarter of the range in its logarithm."""
    steps = [one.rate / (1 - dict(one.knobs).get("momentum", 0.0)) for one in draws(optimizer, 8)]
    low, high = KNOBS[optimizer]["rate"].low, KNOBS[optimizer]["rate"].high
    places = np.sort(np.log(np.array([low, *steps, high]) / low) / np.log(high / low))
    assert np.diff(places).max() < 0.26


def test_ends_of_a_range() -> None:
    assert [Range(0.03, 1.0, kept=True).at(s) for s in (0.0, 1.0)] == [0.97, 0.0]
    assert [Range(10, 200, whole=True).at(s) for s in (0.0, 0.5, 1.0)] == [10.0, 45.0, 200.0]


@pytest.mark.parametrize("name", DEFAULT)
def test_an_optimizer_takes_its_knobs(name: str) -> None:
    module = torch.nn.Linear(1, 1)
    stepper = Stepper(name, module, 0.1, knobs=dict(draws(name, 1)[0].knobs))
    knobs = dict(draws(name, 1)[0].knobs)
    if name == "adam":
        assert stepper.inner.defaults["betas"] == (knobs["beta1"], knobs["beta2"])
    else:
        assert stepper.inner.defaults["momentum"] == knobs["momentum"]
    if name == "snopt":
        group = stepper.precondition.param_groups[0]
        assert (group["damping"], group["refresh"]) == (knobs["damping"], knobs["refresh"])
    with pytest.raises(BadInput, match="has no knob 'inertia'"):
        Stepper(name, module, 0.1, knobs={"inertia": 1.0})


def test_an_unknown_optimizer_has_no_draws() -> None:
    with pytest.raises(BadInput, match="no knobs of an optimizer 'lion'"):
        draws("lion", 1)
    assert told((("momentum", 0.9), ("refresh", 50.0))) == "momentum 0.9, refresh 50"
