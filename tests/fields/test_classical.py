"""Classical fields where their twins alone do not show it: a switch, and a time for each row."""

from __future__ import annotations

import numpy as np
import torch
from odecheck_reference import fields as exact

from odecheck.fields.classical import Logistic, Lorenz, LotkaVolterra, Pendulum
from odecheck.fields.from_reference import torch_twin


def test_a_twin_switches_at_the_very_time():
    module = torch_twin(exact.Switched(at=0.7))(torch.tensor([-1.5, 0.25], dtype=torch.float64))
    y = torch.tensor([[2.0]], dtype=torch.float64)
    for t, rate in ((np.nextafter(0.7, 0), -1.5), (0.7, 0.25)):
        assert module(torch.tensor(t, dtype=torch.float64), y).item() == rate * 2


def test_each_row_may_have_a_time_of_its_own():
    pendulum = Pendulum(k=2.0, c=0.25, a=0.5, w=1.5)
    y, times = torch.randn(3, 2), torch.tensor([[0.0], [1.0], [2.5]])
    rows = torch.cat([pendulum(t, row[None]) for t, row in zip(times[:, 0], y, strict=True)])
    torch.testing.assert_close(pendulum(times, y), rows)
    assert not torch.equal(pendulum(times[:1], y), rows)


def test_equilibria_stay_where_they_are():
    """Known in closed form: of prey and hunters, of a logistic population, of the centre of a wing."""
    zero = torch.tensor(0.0)
    for field, state in (
        (LotkaVolterra(1.5, 0.5, 3.0, 1.0), [3.0, 3.0]),
        (Logistic(2.0, 4.0), [4.0]),
        (Lorenz(10.0, 28.0, 2.0), [54**0.5, 54**0.5, 27.0]),
    ):
        assert field(zero, torch.tensor([state])).abs().max() < 1e-4
        assert field(zero, torch.tensor([state]) + 0.5).abs().max() > 0.1
