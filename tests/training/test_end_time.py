"""The end time in a training: averaged slopes, a move where it is time, a state that goes on."""

from __future__ import annotations

import pytest
import torch

from odecheck.optim.horizon import HorizonDescent
from odecheck.training.end_time import EndTime


def made(every: int = 3) -> EndTime:
    T = torch.nn.Parameter(torch.tensor(2.0))
    return EndTime(T, HorizonDescent(T, [], learning_rate=0.1, decay=0.5), every)


def stepped(end: EndTime, slope: float) -> float:
    end.T.grad = torch.tensor(slope)
    end.measure()
    end.step()
    return end.value


def test_it_moves_at_every_third_step_by_the_average_slope() -> None:
    """((1 + 2)/2 + 4)/2 = 2.75, times 0.1."""
    end = made()
    assert [stepped(end, slope) for slope in (1.0, 2.0, 4.0)] == [2.0, 2.0, pytest.approx(2 - 0.275)]
    assert end.T.grad is None


def test_a_saved_state_goes_on_with_the_same_numbers() -> None:
    end, other = made(), made()
    for slope in (1.0, 2.0):
        stepped(end, slope)
    with torch.no_grad():
        other.T.copy_(end.T)
    other.load(end.state())
    slopes = (4.0, -1.0, 3.0, 0.5)
    assert [stepped(other, s) for s in slopes] == [stepped(end, s) for s in slopes]


def test_nobody_moves_a_fixed_one() -> None:
    end = EndTime(torch.nn.Parameter(torch.tensor(1.0), requires_grad=False))
    end.measure()
    end.step()
    end.load(end.state())
    assert end.value == 1.0
