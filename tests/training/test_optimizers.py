"""The optimizers by name: what they refuse, and a state that goes on."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from odecheck.errors import BadInput
from odecheck.training.optimizers import MOMENTUM, Stepper


def stepped(stepper: Stepper, module: torch.nn.Module) -> list[float]:
    stepper.zero()
    module(torch.ones(1, 2)).square().sum().backward()
    stepper.step()
    return [float(x) for p in module.parameters() for x in p.detach().flatten()]


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_saved_state_goes_on_with_the_same_numbers(name: str) -> None:
    torch.manual_seed(0)
    module = torch.nn.Linear(2, 1)
    stepper = Stepper(name, module, 0.1)
    stepped(stepper, module)
    twin = torch.nn.Linear(2, 1)
    twin.load_state_dict(module.state_dict())
    other = Stepper(name, twin, 0.1)
    without = Stepper(name, torch.nn.Linear(2, 1), 0.1)
    other.load(deepcopy(stepper.state()))  # as one that was saved
    assert other.state()["inner"]["state"] and not without.state()["inner"]["state"]
    assert stepped(other, twin) == stepped(stepper, module)


def test_momentum_is_that_of_the_comparisons() -> None:
    assert Stepper("sgd", torch.nn.Linear(1, 1), 0.1).inner.defaults["momentum"] == MOMENTUM


@pytest.mark.parametrize(("name", "rate", "says"), [("lion", 0.1, "no optimizer 'lion'"), ("sgd", -1.0, "rate is -1")])
def test_what_is_no_optimizer_or_no_rate_is_refused(name: str, rate: float, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Stepper(name, torch.nn.Linear(1, 1), rate)
