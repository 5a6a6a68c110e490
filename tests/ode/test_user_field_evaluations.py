"""A solve evaluates the field where the solver does, and nowhere else."""

from __future__ import annotations

import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

from odecheck.ode import odeint

METHODS = ("euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams")


class Noting(nn.Module):
    """y' = −w y, with the times that it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.5, dtype=torch.float64))
        self.times: list[float] = []
        self.rate = 1.0

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        self.times.append(float(t))
        return -self.rate * self.w * y


def solved(solve, **given) -> tuple[list[float], list[float]]:
    """The times asked for in the solve, and in backward()."""
    field, x = Noting(), torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = solve(field, x, torch.tensor([0.0, 1.0], dtype=torch.float64), **given)
    forward, field.times = field.times, []
    y.sum().backward()
    return forward, field.times


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("perturb", [False, True])
def test_as_many_evaluations_as_torchdiffeq(method: str, perturb: bool) -> None:
    """At the very times too; by itself backward() asks once more, for the check of a field that has changed."""
    given = {"method": method, "options": {"step_size": 0.25, "perturb": perturb}}
    forward, backward = solved(torchdiffeq.odeint_adjoint, **given)
    assert solved(odeint, check_field=False, **given) == (forward, backward)
    assert solved(odeint, **given) == (forward, [forward[0], *backward])
    assert (0.0 in forward) is not perturb


def test_an_adaptive_solve_begins_as_torchdiffeqs() -> None:
    forward, _ = solved(torchdiffeq.odeint_adjoint)
    assert solved(odeint)[0][:2] == forward[:2]


def test_without_the_check_a_changed_field_is_let_through() -> None:
    for check in (True, False):
        field, x = Noting(), torch.ones(1, dtype=torch.float64, requires_grad=True)
        y = odeint(field, x, torch.tensor([0.0, 1.0], dtype=torch.float64), check_field=check)
        field.rate = 2.0
        if check:
            with pytest.raises(RuntimeError, match="not the one that was solved"):
                y.sum().backward()
        else:
            y.sum().backward()


def test_a_hidden_tensor_is_seen_by_the_first_evaluation_of_the_solve() -> None:
    calls, w = [], torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

    def field(t: Tensor, y: Tensor) -> Tensor:
        calls.append(float(t))
        return w * y

    with pytest.raises(ValueError, match="adjoint_params"):
        odeint(field, torch.ones(1, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert calls == [0.0]
