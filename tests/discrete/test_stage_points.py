"""The field at all stage points: coupled rows, noise and a wrong time are seen there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from odecheck.discrete import (
    CoupledRows,
    gradient,
    record,
)
from tests.discrete.oracle import (
    ROUND_OFF,
    Net,
    Norm,
    draw,
    everywhere,
    gaps,
    solve,
    times,
)
from tests.discrete.test_trajectory import late


def test_a_wrong_stage_time_does_not_pass_the_recorded_slopes() -> None:
    with pytest.raises(ValueError, match="recorded slopes"):
        gradient(late(solve("rk4", Net(), draw(3, 2), times(0.0, 1.0))), everywhere)


def test_rows_declared_independent_are_checked() -> None:
    with pytest.raises(CoupledRows):
        gradient(solve("rk4", Norm(), draw(4, 2), times(0.0, 1.0), independent_rows=True), everywhere)


class Centred(nn.Module):
    """Rows are coupled only through their mean, and give equal values if they are equal."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(y - y.mean(0)) + y


def test_coupling_is_seen_where_all_rows_are_equal() -> None:
    y0 = draw(1, 2).expand(4, 2).clone()
    trajectory = solve("rk4", Centred(), y0, times(0.0, 1.0))
    weights = draw(2, 4, 2)
    assert max(gaps(trajectory, lambda y: (weights * y.sin()).sum())) < ROUND_OFF


def test_noise_is_refused() -> None:
    field = nn.Sequential(nn.Dropout(0.5))
    trajectory = record(lambda t, y: field(y), draw(3, 2), times(0.0, 1.0), method="rk4")
    with pytest.raises(ValueError, match="recorded slopes"):
        gradient(trajectory, everywhere)
