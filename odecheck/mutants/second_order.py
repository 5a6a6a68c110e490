"""Wrong second derivatives: the right ones with a term dropped, a block transposed, an observation forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.claim import Mutant
from odecheck.engines.base import LossFn, factors_of, second_order_of
from odecheck.solvers import Solver

from .base import WrongEngine


@dataclass(frozen=True)
class WrongSecondOrder(WrongEngine):
    """An engine whose second derivatives are changed; its solution and gradient are right.

    hessian(engine, module, solver, y0, ts, loss, curved), factors(q, p) and horizon(exact, approximate) each make the
    wrong answer.
    """

    wrong_hessian: Callable[..., Tensor] | None = None
    wrong_factors: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    wrong_horizon: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None

    def hessian(
        self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn, *, curved: bool = True
    ) -> Tensor:
        engine = second_order_of(self.right)
        if self.wrong_hessian is None:
            return engine.hessian(module, solver, y0, ts, loss, curved=curved)
        return self.wrong_hessian(engine, module, solver, y0, ts, loss, curved)

    def factors(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, rows: Any) -> tuple[Tensor, Tensor]:
        q, p = factors_of(self.right).factors(module, solver, y0, ts, rows)
        return self.wrong_factors(q, p) if self.wrong_factors else (q, p)

    def horizon(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> tuple[Tensor, Tensor]:
        exact, rough = factors_of(self.right).horizon(module, solver, y0, ts, loss)
        return self.wrong_horizon(exact, rough) if self.wrong_horizon else (exact, rough)


def _mutant(name: str, **wrong: Any) -> Mutant:
    return Mutant(name, lambda s: replace(s, engine=WrongSecondOrder(s.engine, name, **wrong)))


def wrong_matrix(name: str, change: Callable[[Tensor, int], Tensor]) -> Mutant:
    """A mutant whose Hessian is change(right Hessian, number of its rows that belong to y0)."""

    def hessian(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Any, loss: Any, curved: bool) -> Tensor:
        return change(engine.hessian(module, solver, y0, ts, loss, curved=curved), y0.numel())

    return _mutant(name, wrong_hessian=hessian)


def _other_form(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Any, loss: Any, curved: bool) -> Tensor:
    return engine.hessian(module, solver, y0, ts, loss, curved=not curved)


OTHER_FORM = _mutant("Gauss-Newton passed off as the Hessian, or the reverse", wrong_hessian=_other_form)
SCALED_HESSIAN = wrong_matrix("Hessian times 1.0002", lambda h, _: 1.0002 * h)
HALF_MIXED = wrong_matrix(
    "half of the mixed block", lambda h, d: torch.cat([torch.cat([h[:d, :d], 0.5 * h[:d, d:]], 1), h[d:]])
)


def _unsymmetric(h: Tensor, d: int) -> Tensor:
    """2 x the strict upper triangle of Q_xx instead of both triangles: a forgotten symmetric part."""
    xx = torch.triu(h[:d, :d], 1) * 2 + torch.diag(h[:d, :d].diagonal())
    return torch.cat([torch.cat([xx, h[:d, d:]], 1), h[d:]])


FORGOTTEN_SYMMETRIC = wrong_matrix("symmetric part forgotten", _unsymmetric)


def _transposed(h: Tensor, d: int) -> Tensor:
    block = h[:d, d:]
    wrong = block.T.reshape(block.shape)  # the numbers of the transposed block, read in the shape of the right one
    return torch.cat([torch.cat([h[:d, :d], wrong], 1), h[d:]])


TRANSPOSED_BLOCK = wrong_matrix("mixed block transposed", _transposed)


def _flat_interior(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn, curved: bool) -> Tensor:
    """Interior observations enter through their slope alone: their jump of second order is forgotten."""
    states = engine.solution(module, solver, y0, ts).detach()
    leaf = states.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(leaf), leaf)
    inner = torch.zeros(len(ts), 1, 1, dtype=y0.dtype)
    inner[1:-1] = 1.0

    def flat(y: Tensor) -> Tensor:
        return loss(y * (1 - inner) + states * inner) + (slope * inner * y).sum()

    return engine.hessian(module, solver, y0, ts, flat, curved=curved)


FORGOTTEN_JUMP = _mutant("second-order jump of an interior observation forgotten", wrong_hessian=_flat_interior)

SCALED_Q = _mutant("q times 1.0002", wrong_factors=lambda q, p: (1.0002 * q, p))
FLIPPED_P = _mutant("p with the wrong sign", wrong_factors=lambda q, p: (q, -p))
MEAN_P = _mutant("p averaged over the batch", wrong_factors=lambda q, p: (q, p / p.shape[1]))
LAST_Q = _mutant("factors of the last time instead of the first", wrong_factors=lambda q, p: (q.flip(0), p.flip(0)))


def _entry(index: int, by: float) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    def change(exact: Tensor, rough: Tensor) -> tuple[Tensor, Tensor]:
        wrong = exact.clone()
        wrong[index] = by * wrong[index]
        return wrong, rough

    return change


SCALED_QTT = _mutant("Q_TT times 1.0002", wrong_horizon=_entry(1, 1.0002))
FLIPPED_QT = _mutant("Q_T with the wrong sign", wrong_horizon=_entry(0, -1.0))
HALF_QTTHETA = _mutant(
    "half of Q_Ttheta", wrong_horizon=lambda exact, rough: (torch.cat([exact[:2], exact[2:] / 2]), rough)
)
ROUGH_HORIZON = _mutant(
    "squares of first derivatives passed off as Q_TT and Q_Ttheta", wrong_horizon=lambda exact, rough: (rough, rough)
)


class KeepsSteps(nn.Module):
    """A field that keeps every value it ever returned."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.kept: list[Tensor] = []

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        value = self.inner(t, y)
        self.kept.append(value)
        return value


KEEPS_STEPS = Mutant("every stage is kept", lambda s: replace(s, around=(*s.around, KeepsSteps)))
