"""Copies of the parameters for every row or point give what pulls through the whole batch give."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from odecheck.discrete import (
    CoupledRows,
    copies,
    gauss_newton_factors,
    hessian,
    record,
    squared_error_factors,
)
from tests.discrete.oracle import ROUND_OFF, draw, everywhere, gap, times
from tests.discrete.test_curvature import made


def test_the_hessian_where_parameters_cannot_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    trajectory = made(batch=1)
    expected = hessian(trajectory, everywhere)

    def refuse(*_: object) -> Tensor:
        raise KeyError

    monkeypatch.setattr(copies, "_parameter_jacobian", refuse)
    assert gap([hessian(trajectory, everywhere)], [expected]) < ROUND_OFF


def test_factors_of_every_sample_where_rows_cannot_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    trajectory = made()
    factors = squared_error_factors(trajectory.solution)
    expected = gauss_newton_factors(trajectory, factors, by_row=True)
    monkeypatch.setattr(copies, "_own_copies", lambda *_: None)
    found = gauss_newton_factors(trajectory, factors, by_row=True)
    assert gap([found.y0, *found.theta.values()], [expected.y0, *expected.theta.values()]) < ROUND_OFF


def test_coupled_rows_have_no_factors_of_every_sample() -> None:
    trajectory = record(lambda t, y: torch.sin(y - y.mean(0)), draw(3, 2), times(0.0, 1.0), method="rk4")
    with pytest.raises(CoupledRows):
        gauss_newton_factors(trajectory, squared_error_factors(trajectory.solution), by_row=True)
