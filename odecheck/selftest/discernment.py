"""Discernment: the smallest relative defect of a derivative that a test refutes.

A defect is a part of the answer multiplied by 1 + ε. The smallest ε that is refuted is found by bisection, for claims
on every engine and several tolerances, and for what is usually done instead: `torch.autograd.gradcheck` with its
defaults, and the tests of torchdiffeq and torchode, re-expressed here (field, comparison and tolerances are theirs; the
solves are torchdiffeq's). A test that lets 1 + 10 pass has no ε: it is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

import torch
import torchdiffeq
from torch import Tensor, nn

from odecheck.claims import ALL
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.judge import Verdict
from odecheck.record import evaluate
from odecheck.solvers import Adaptive
from odecheck.subject import SHIPPED, Subject

from . import battery, operators
from .journal import Piece, Row

SMALLEST, LARGEST = 1e-14, 10.0
ENGINES = {
    "torchdiffeq backprop": Backprop,
    "torchdiffeq adjoint": Adjoint,
    "odecheck.odeint": Closed,
    "odecheck.discrete": Discrete,
}
TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
# what is multiplied by 1 + ε, for each claim that is asked
DEFECTS = {
    "SOL-2": "last state",
    "NODE-1": "y0",
    "NODE-2": "theta",
    "NODE-3": "last time",
    "SNOPT-1": "Q_thetatheta",
    "SNOPT-4": "q",
    "SNOPT-10": "Q_TT",
}
# second derivatives of the flow are dear: at these tolerances only
SECOND_ORDER = (1e-6, 1e-8)


def smallest(refutes: Callable[[float], bool]) -> float:
    """The smallest ε that is refuted, to a factor of 1.2; infinite when LARGEST is not.

    Raises ArithmeticError when ε = 0 is refuted: then a refutation says nothing about ε.
    """
    if refutes(0.0):
        raise ArithmeticError("the right derivative is refuted")
    low, high = math.log(SMALLEST), math.log(LARGEST)
    if not refutes(LARGEST):
        return math.inf
    while high - low > math.log(1.2):
        middle = (low + high) / 2
        low, high = (low, middle) if refutes(math.exp(middle)) else (middle, high)
    return math.exp(high)


# --- our claims --------------------------------------------------------------------------------------------------


def _scaled(part: str, by: float) -> Callable[[Subject], Subject]:
    def change(subject: Subject) -> Subject:
        return replace(subject, engine=operators.altered(subject.engine, part, f"times {by!r}", lambda x: by * x))

    return change


def ours(argument: tuple[str, float]) -> list[Row]:
    """One row for each claim: what it refutes on this engine at this tolerance, and what its record says it would."""
    name, rtol = argument
    torch.set_num_threads(1)
    problem = battery.problems()["clocked"]
    subject = operators.kept(Subject(SHIPPED, Adaptive("dopri8", rtol=rtol, land=True), ENGINES[name]()))
    rows: list[Row] = []
    for claim in ALL:
        dear = claim.family.speaks_of == "second derivatives" and name == "odecheck.odeint" and rtol not in SECOND_ORDER
        if claim.id not in DEFECTS or dear:
            continue
        right = evaluate(claim, subject, problem)
        if right.verdict in (Verdict.UNSUPPORTED, Verdict.NOT_APPLICABLE):
            continue
        part = DEFECTS[claim.id]

        def refutes(by: float, claim: Any = claim, part: str = part) -> bool:
            return evaluate(claim, _scaled(part, 1 + by)(subject), problem).verdict == Verdict.REFUTED

        rows.append(
            {
                "test": claim.id,
                "engine": name,
                "rtol": rtol,
                "part": part,
                "verdict": str(right.verdict),
                "resolved": right.resolved,
                "smallest_refuted": smallest(refutes),
            }
        )
    return rows


# --- what is done instead ----------------------------------------------------------------------------------------


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
    return cast(Tensor, _Defect.apply(x, by))


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
    """gradcheck on the problem of our own claims, with dopri5 at rtol 1e-9.

    dopri8 it refutes, right or wrong, where no step ends on the outputs.
    """
    problem = battery.problems()["clocked"]
    module = Subject(SHIPPED, Adaptive(), Adjoint()).module(problem)
    shapes = [(n, p.shape) for n, p in module.named_parameters()]

    def solve(y0: Tensor, theta: Tensor, ts: Tensor) -> Tensor:
        parts = theta.split([s.numel() for _, s in shapes])
        given = {n: x.reshape(s) for (n, s), x in zip(shapes, parts, strict=True)}
        field = _Bound(module, given)
        return torchdiffeq.odeint(
            field,
            y0,
            ts,
            rtol=1e-9,
            atol=1e-11,  # pyright: ignore[reportReturnType]
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
    """torchdiffeq's check of each method: gradcheck of ten states on [1, 8] of a field at rest about its solution."""
    field = _Fifth()
    ts = torch.linspace(1, 8, 10, dtype=torch.float64).requires_grad_()
    inputs = {"y0": _leaf(3.2)[0].detach().requires_grad_(), "ts": ts}

    def solve(y0: Tensor, ts: Tensor) -> Tensor:
        return torchdiffeq.odeint(field, y0, ts, method="dopri5")  # pyright: ignore[reportReturnType]

    return _gradcheck(solve, inputs, part, by)


def torchdiffeq_comparison(part: str, by: float) -> bool:
    """torchdiffeq's comparison of its adjoint with backpropagation on a spiral: absolute differences of 3e-4 in y0,
    1e-4 in the times and 2e-3 in the matrix pass."""
    got = _spiral()
    limit = {"y0": 3e-4, "ts": 1e-4, "theta": 2e-3}[part]
    backprop, adjoint = got[part]
    return bool(((1 + by) * adjoint - backprop).abs().max() >= limit)


_KEPT: dict[str, tuple[Tensor, Tensor]] = {}


def _spiral() -> dict[str, tuple[Tensor, Tensor]]:
    """Each derivative by backpropagation and by the adjoint; computed once."""
    if not _KEPT:
        found = []
        for solve in (torchdiffeq.odeint, torchdiffeq.odeint_adjoint):
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
    """torchode's check of its adjoints: gradcheck of the mean of the states of a linear system, at atol 1e-6."""
    matrix = _leaf([-1.0, -0.5, -0.75], [-1.0, 0.75, 0.25], [-1.5, -0.75, -1.0])
    inputs = {"y0": _leaf([0.25, 1.25, -0.5], [0.5, -0.75, 1.25]), "theta": matrix}
    ts = torch.tensor([0.0, 1.75, 3.0], dtype=torch.float64)

    def solve(y0: Tensor, theta: Tensor) -> Tensor:
        states = torchdiffeq.odeint(lambda _, y: y @ theta, y0, ts, method="dopri5", rtol=0.0, atol=1e-6)
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
    seen = torchdiffeq.odeint(_Sine(), truth[-1] if back else truth[0], ts, method="dopri5", rtol=rtol, atol=1e-9)
    return cast(Tensor, seen), truth


def torchdiffeq_solution(part: str, by: float) -> bool:
    """torchdiffeq's comparison of dopri5 with a closed form: relative errors below 1e-4 pass."""
    seen, truth = _sine(1e-7, back=False)
    return bool((((1 + by) * seen - truth) / truth).abs().max() >= 1e-4)


def torchode_there_and_back(part: str, by: float) -> bool:
    """torchode's solve back to the start at 1e-8: it passes within 1e-4 of the start state, and 1e-4 of its size."""
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


def theirs(name: str) -> list[Row]:
    """One row for each derivative that a test looks at; and that the right derivative passes."""
    torch.set_num_threads(1)
    test, parts = OTHERS[name]
    rows: list[Row] = []
    for part in parts:
        try:
            verdict, least = "holds", smallest(lambda by, part=part: test(part, by))
        except ArithmeticError:  # a test that refutes the right derivative discerns nothing
            verdict, least = "refuted", math.nan
        rows.append(
            {
                "test": name,
                "engine": "",
                "rtol": math.nan,
                "part": part,
                "verdict": verdict,
                "resolved": math.nan,
                "smallest_refuted": least,
            }
        )
    return rows


def judged(argument: tuple[str, Any]) -> list[Row]:
    kind, what = argument
    return theirs(what) if kind == "theirs" else ours(tuple(what))


def pieces() -> list[Piece]:
    ours_ = [Piece(f"{name} {rtol:g}", ("ours", (name, rtol))) for rtol in TOLERANCES for name in ENGINES]
    return [*ours_, *(Piece(name, ("theirs", name)) for name in OTHERS)]
