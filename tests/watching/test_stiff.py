"""Stiff solves: their truth is that of an implicit family, and the finding names them with what to type."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

from .mistakes import trained
from .steps import stepped


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


class Relaxation(nn.Module):
    """y' = −k (y − cos t)."""

    def __init__(self, k):
        super().__init__()
        self.k = nn.Parameter(numbers(k))

    def forward(self, t, y):
        return -self.k * (y - torch.cos(t))


class VanDerPol(nn.Module):
    """x'' = μ (1 − x²) x' − x."""

    def __init__(self, mu):
        super().__init__()
        self.mu = nn.Parameter(numbers(mu))

    def forward(self, t, y):
        return torch.stack([y[:, 1], self.mu * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], 1)


class Robertson(nn.Module):
    """Three reactions, with rates from 4e-2 to 3e7."""

    def __init__(self):
        super().__init__()
        self.k = nn.Parameter(numbers(0.04, 3e7, 1e4))

    def forward(self, t, y):
        (a, b, c), (k1, k2, k3) = y.unbind(-1), self.k
        return torch.stack([k3 * b * c - k1 * a, k1 * a - k2 * b * b - k3 * b * c, k2 * b * b], -1)


LOOSE = {"rtol": 1e-3, "atol": 1e-4}
STIFF = {
    "relaxation": lambda: trained(Relaxation(2e3), torch.ones(2, 1).double(), solve=odeint, **LOOSE),
    "a start at zero": lambda: trained(
        Relaxation(1e4), torch.zeros(1, 1).double(), solve=odeint, times=(0.0, 0.1), **LOOSE
    ),
    "van der pol": lambda: trained(VanDerPol(1e3), numbers([2.0, 0.0]), solve=odeint, times=(0.0, 0.2), **LOOSE),
    "robertson": lambda: trained(
        Robertson(), numbers([1.0, 0.0, 0.0]), solve=odeint, times=(0.0, 0.3), rtol=1e-4, atol=1e-8
    ),
}


@pytest.mark.parametrize("name", STIFF)
def test_a_stiff_solve_is_judged_and_named(name):
    row = stepped(STIFF[name]).rows[0]
    assert "implicit" in row.reason and row.state == "judged"
    assert row.findings == [] and [f.kind for f in row.notes] == ["stiff"], row.said
    assert "scipy_solver" in row.notes[0].text and row.verdict == "holds"
    assert {q.verdict for q in row.quantities.values()} == {"holds"}
    assert row.quantities["solution"].bar < 1e-6


def test_a_backward_solve_that_cannot_go_on_is_named():
    """torchdiffeq's own exception reaches the user, and the row says what it comes from."""

    def make():
        run = trained(Relaxation(2e3), torch.ones(2, 1).double(), solve=odeint_adjoint, **LOOSE)

        def step():
            with pytest.raises(AssertionError):
                run()

        return step

    row = stepped(make).rows[0]
    assert [f.kind for f in row.findings] == ["step size vanishes"] and row.verdict == "refuted"
    assert "stiff" in [f.kind for f in row.notes]
    assert "backward solve" in row.findings[0].text
    assert row.quantities["solution"].verdict == "holds"


@pytest.mark.filterwarnings("ignore:The following arguments have no effect")
def test_an_implicit_method_of_a_stiff_field_is_right():
    field, y0 = Relaxation(1e4), torch.ones(2, 1).double()

    def solved():
        with torch.no_grad():
            odeint(field, y0, numbers(0.0, 1.0), method="scipy_solver", options={"solver": "Radau"}, **LOOSE)

    row = stepped(lambda: solved).rows[0]
    assert row.findings == [] and row.verdict == "holds"
