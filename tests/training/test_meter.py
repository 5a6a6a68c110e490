"""The meter counts, and disturbs nothing."""

from __future__ import annotations

import pytest
import torch

from odecheck.fields import NODE, Autonomous, NODELayer
from odecheck.solvers import Adaptive
from odecheck.training.meter import Meter


def test_the_meter_goes_on_calling_the_callbacks_of_a_field() -> None:
    seen = []
    field = NODE(Autonomous(torch.nn.Linear(2, 2)))
    field.callback_accept_step = lambda *_: seen.append(1)  # type: ignore[assignment]
    layer = NODELayer(field, solver=Adaptive("dopri5", rtol=1e-3))
    meter = Meter(layer)
    layer(torch.ones(1, 2))
    assert seen and meter.taken()["nfe_forward"] == 0  # in no phase
    with meter.phase("forward"):
        layer(torch.ones(1, 2))
    assert meter.taken()["accepted_forward"] == len(seen) / 2


def test_a_model_without_a_solve_cannot_be_metered() -> None:
    with pytest.raises(ValueError, match="nothing would be counted"):
        Meter(torch.nn.Linear(1, 1))
