"""What is usually done in place of a claim: gradcheck with its defaults, and the tests of torchdiffeq and torchode.

Their field, comparison and tolerances are theirs; the solves are torchdiffeq's. Each test is asked whether it refutes a
derivative, or a solution, of which one part is multiplied by 1 + ε.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import torch
import torchdiffeq  # pyright: ignore[reportMissingTypeStubs]
from torch import Tensor, nn

from odecheck.engines.torchdiffeq import Adjoint
from odecheck.solvers import Adaptive
from odecheck.subject import SHIPPED, Subject

from . import battery

# torchdiffeq has no types
ODEINT: Any = vars(torchdiffeq)["odeint"]
ODEINT_ADJOINT: Any = vars(torchdiffeq)["odeint_adjoint"]


class _Defect(torch.autograd.Function):
    """The identity, whose derivative is 1 + ε."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, by: float) -> Tensor:
        ctx.by = by
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return (1 + ctx.by) * grads[0], None


def _defective(x: Tensor, by: float) -> Tensor:
    return cast(Tensor, _Defect.apply(x, by))  # pyright: ignore[reportUnknownMemberType]


def _gradcheck(solve: Callable[..., Tensor], inputs: dict[str, Tensor], part: str, by: float) -> bool:
    """Whether gradcheck with its defaults refutes a defect in one input's derivative."""

    def defective(*values: Tensor) -> Tensor:
        given = dict(zip(inputs, values, strict=True))
        return solve(**{**given, part: _defective(given[part], by)})

    return not torch.autograd.gradcheck(defective, tuple(inputs.values()), raise_exception=False)


def _leaf(*numbers: Any) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64, requires_grad=True)


class _Fifth(nn.Module):
    """y' = a + (y − (a t + b))⁵: on the solution a t + b nothing depends on y, nor on a and b within the power."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(_leaf(0.2)[0].detach()), nn.Parameter(_leaf(3.0)[0].detach())

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.a + (y - (self.a * t + self.b)) ** 5


class _Cubic(nn.Module):
    """y' = A-transformed y³: a spiral."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return (y**3) @ self.matrix


def gradcheck_defaults(part: str, by: float) -> bool:
    """What gradcheck says of the problem of our own claims, with dopri5 at rtol 1e-9.

    dopri8 it refutes, right or wrong, where no step ends on the outputs.
    """
    problem = battery.problems()["clocked"]
    module = Subject(SHIPPED, Adaptive(), Adjoint()).module(problem)
    shapes = [(n, p.shape) for n, p in module.named_parameters()]

    def solve(y0: Tensor, theta: Tensor, ts: Tensor) -> Tensor:
        parts = torch.split(theta, [s.numel() for _, s in shapes])
        given = {n: x.reshape(s) for (n, s), x in zip(shapes, parts, strict=True)}
        field = _Bound(module, given)
        return ODEINT(
            field,
            y0,
            ts,
            rtol=1e-9,
            atol=1e-11,
            method="dopri5",
        )

    given = {"y0": problem.y0, "theta": problem.theta, "ts": problem.ts}
    inputs = {name: torch.tensor(value, requires_grad=True) for name, value in given.items()}
    return _gradcheck(solve, inputs, part, by)


class _Bound(nn.Module):
    """A module at parameters that are functions of one tensor."""

    def __init__(self, module: nn.Module, given: dict[str, Tensor]) -> None:
        super().__init__()
        self.module, self.given = [module], given

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.func.functional_call(self.module[0], self.given, (t, y))


def torchdiffeq_gradcheck(part: str, by: float) -> bool:
    """The check of each method in torchdiffeq: gradcheck of ten states on [1, 8], at rest about the solution."""
    field = _Fifth()
    ts = torch.linspace(1, 8, 10, dtype=torch.float64).requires_grad_()
    inputs = {"y0": _leaf(3.2)[0].detach().requires_grad_(), "ts": ts}

    def solve(y0: Tensor, ts: Tensor) -> Tensor:
        return ODEINT(field, y0, ts, method="dopri5")

    return _gradcheck(solve, inputs, part, by)


def torchdiffeq_comparison(part: str, by: float) -> bool:
    """The comparison of adjoint and backpropagation in torchdiffeq, on a spiral.

    Absolute differences of 3e-4 in y0, 1e-4 in the times and 2e-3 in the matrix pass.
    """
    got = _spiral()
    limit = {"y0": 3e-4, "ts": 1e-4, "theta": 2e-3}[part]
    backprop, adjoint = got[part]
    return bool(((1 + by) * adjoint - backprop).abs().max() >= limit)


_KEPT: dict[str, tuple[Tensor, Tensor]] = {}


def _spiral() -> dict[str, tuple[Tensor, Tensor]]:
    """Each derivative by backpropagation and by the adjoint; computed once."""
    if not _KEPT:
        found: list[Any] = []
        for solve in (ODEINT, ODEINT_ADJOINT):
            y0 = _leaf([2.0, 0.0])
            ts = torch.linspace(0, 25, 10, dtype=torch.float64).requires_grad_()
            field = _Cubic(_leaf([-0.1, 2.0], [-2.0, -0.1]).detach())
            states = cast(Tensor, solve(field, y0, ts, method="dopri5"))
            generator = torch.Generator().manual_seed(0)
            weights = 0.1 * torch.rand(states.shape, generator=generator, dtype=torch.float64)
            found.append(torch.autograd.grad((weights * states).sum(), [y0, ts, field.matrix]))
        _KEPT.update({name: (a, b) for name, a, b in zip(("y0", "ts", "theta"), *found, strict=True)})
    return _KEPT


def torchode_gradcheck(part: str, by: float) -> bool:
    """The check of its adjoints in torchode: gradcheck of the mean of the states of a linear system, at atol 1e-6."""
    matrix = _leaf([-1.0, -0.5, -0.75], [-1.0, 0.75, 0.25], [-1.5, -0.75, -1.0])
    inputs = {"y0": _leaf([0.25, 1.25, -0.5], [0.5, -0.75, 1.25]), "theta": matrix}
    ts = torch.tensor([0.0, 1.75, 3.0], dtype=torch.float64)

    def solve(y0: Tensor, theta: Tensor) -> Tensor:
        def linear(_: Tensor, y: Tensor) -> Tensor:
            return y @ theta

        states = ODEINT(linear, y0, ts, method="dopri5", rtol=0.0, atol=1e-6)
        return cast(Tensor, states).mean()

    return _gradcheck(solve, inputs, part, by)


class _Sine(nn.Module):
    """y' = 2 y/t + t⁴ sin 2t − t² + 4 t³, whose solution is a sum of powers and trigonometric functions."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return 2 * y / t + t**4 * torch.sin(2 * t) - t**2 + 4 * t**3

    def solution(self, t: Tensor) -> Tensor:
        bent = t**3 * torch.sin(2 * t) / 2 - (t**4 / 2 - t**2 / 4) * torch.cos(2 * t)
        return bent - t**3 + 2 * t**4 + (math.pi - 0.25) * t**2


@lru_cache(maxsize=8)
def _sine(rtol: float, *, back: bool) -> tuple[Tensor, Tensor]:
    """What dopri5 makes of it on [1, 8] at this tolerance, and the truth; `back`: at the start, from the last state."""
    ts = torch.linspace(1, 8, 10, dtype=torch.float64)
    truth = _Sine().solution(ts)
    if back:
        ts = ts.flip(0)
    seen = ODEINT(_Sine(), truth[-1] if back else truth[0], ts, method="dopri5", rtol=rtol, atol=1e-9)
    return cast(Tensor, seen), truth


def torchdiffeq_solution(part: str, by: float) -> bool:
    """The comparison of dopri5 in torchdiffeq with a closed form: relative errors below 1e-4 pass."""
    seen, truth = _sine(1e-7, back=False)
    return bool((((1 + by) * seen - truth) / truth).abs().max() >= 1e-4)


def torchode_there_and_back(part: str, by: float) -> bool:
    """The solve back to the start in torchode, at 1e-8: within 1e-4 of the start, and of its size, it passes."""
    seen, truth = _sine(1e-8, back=True)
    return bool(((1 + by) * seen[-1] - truth[0]).abs() > max(1e-4, 1e-4 * float(truth[0].abs())))


OTHERS: dict[str, tuple[Callable[[str, float], bool], tuple[str, ...]]] = {
    "gradcheck, defaults": (gradcheck_defaults, ("y0", "theta", "ts")),
    "torchdiffeq: solution against a closed form": (torchdiffeq_solution, ("solution",)),
    "torchdiffeq: gradcheck of a method": (torchdiffeq_gradcheck, ("y0", "ts")),
    "torchdiffeq: adjoint against backpropagation": (torchdiffeq_comparison, ("y0", "theta", "ts")),
    "torchode: gradcheck of an adjoint": (torchode_gradcheck, ("y0", "theta")),
    "torchode: there and back": (torchode_there_and_back, ("solution",)),
}
