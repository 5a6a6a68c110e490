"""torch's own numerical checks, with a non-autonomous, nonlinear field, in every input at once.

The tolerances are far below gradcheck's defaults, which accept a relative error of a thousandth.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from odecheck.ode import odeint

TOLERANCE = {"rtol": 1e-11, "atol": 1e-11, "method": "dopri8"}
CHECK = {"eps": 1e-4, "atol": 1e-6, "rtol": 1e-6, "nondet_tol": 0.0}


def leaf(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def solve(x: Tensor, w: Tensor, t: Tensor) -> Tensor:
    return odeint(lambda s, y: torch.tanh(w * y.flip(0) + s * s) - s * y, x, t, adjoint_params=(w,), **TOLERANCE)


def solve_pair(x: Tensor, z: Tensor, w: Tensor, t: Tensor) -> tuple[Tensor, ...]:
    def field(s: Tensor, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return torch.sin(w * y[0] * y[1].sum() + s), (w * y[0]).sum() * torch.cos(y[1] * s)

    return odeint(field, (x, z), t, adjoint_params=(w,), **TOLERANCE)


INCREASING, DECREASING = (0.1, 0.45, 0.9), (0.9, 0.5, 0.2)


@pytest.mark.parametrize("times", [INCREASING, DECREASING])
def test_first_derivatives(times: tuple[float, ...]) -> None:
    inputs = (leaf(0.3, -0.8), leaf(1.1, -0.7), leaf(*times))
    assert gradcheck(solve, inputs, check_forward_ad=True, fast_mode=times == DECREASING, **CHECK)


@pytest.mark.parametrize("times", [INCREASING, DECREASING])
def test_second_derivatives(times: tuple[float, ...]) -> None:
    inputs = (leaf(0.3, -0.8), leaf(1.1, -0.7), leaf(*times))
    cotangent = torch.tensor([[0.3, -1.0], [0.7, 0.2], [-0.4, 1.1]], dtype=torch.float64, requires_grad=True)
    assert gradgradcheck(solve, inputs, (cotangent,), check_fwd_over_rev=True, fast_mode=True, **CHECK)


def test_tuple_states() -> None:
    inputs = (leaf(0.3, -0.8), leaf(0.5), leaf(1.1, -0.7), leaf(0.1, 0.6))
    assert gradcheck(solve_pair, inputs, check_forward_ad=True, **CHECK)
    cotangents = (torch.ones(2, 2, dtype=torch.float64), torch.full((2, 1), 0.5, dtype=torch.float64))
    assert gradgradcheck(solve_pair, inputs, [c.requires_grad_() for c in cotangents], fast_mode=True, **CHECK)


def test_a_module() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()

    class Field(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            return self.net(y) * t

    field = Field()
    with torch.no_grad():
        for i, p in enumerate(field.parameters()):
            p.copy_(torch.cos(torch.arange(p.numel(), dtype=torch.float64) + i).view(p.shape))
    names = [name for name, _ in field.named_parameters()]

    def solve_module(x: Tensor, *values: Tensor) -> Tensor:
        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.field = field

            def forward(self) -> Tensor:
                return odeint(self.field, x, torch.tensor([0.2, 1.0], dtype=torch.float64), **TOLERANCE)[-1]

        lent = {f"field.{name}": value for name, value in zip(names, values, strict=True)}
        return torch.func.functional_call(Model(), lent, ())

    inputs = (leaf(0.3, -0.8), *(p.detach().clone().requires_grad_() for p in field.parameters()))
    assert gradcheck(solve_module, inputs, **CHECK)
    assert gradgradcheck(
        solve_module, inputs, (torch.ones(2, dtype=torch.float64, requires_grad=True),), fast_mode=True, **CHECK
    )
