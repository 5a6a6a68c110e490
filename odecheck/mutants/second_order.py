"""Wrong second derivatives: the right ones with a term dropped, a block transposed, an observation forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.claim import Mutant
from odecheck.engines.base import LossFn

from .base import around_field, then, wrong_engine


def wrong_matrix(name: str, change: Callable[[Tensor, int], Tensor], **products: Any) -> Mutant:
    """A mutant whose Hessian is change(right Hessian, number of its rows that belong to y0), and whose products."""

    def hessian(
        engine: Any, module: Any, solver: Any, y0: Tensor, ts: Any, loss: Any, *, curved: bool = True
    ) -> Tensor:
        return change(engine.hessian(module, solver, y0, ts, loss, curved=curved), y0.numel())

    return wrong_engine(name, hessian=hessian, **products)


def _other_form(
    engine: Any, module: Any, solver: Any, y0: Tensor, ts: Any, loss: Any, *, curved: bool = True
) -> Tensor:
    return engine.hessian(module, solver, y0, ts, loss, curved=not curved)


def _half_mixed(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Any, loss: Any, v: Tensor, u: Any) -> Any:
    whole = engine.product(module, solver, y0, ts, loss, v, u)
    mixed = engine.product(module, solver, y0, ts, loss, torch.zeros_like(v), u)
    return [whole[0] - mixed[0] / 2, *whole[1:]]


def _scaled(parts: list[Tensor]) -> list[Tensor]:
    return [1.0002 * part for part in parts]


OTHER_FORM = wrong_engine(
    "Gauss-Newton passed off as the Hessian, or the reverse",
    hessian=_other_form,
    product=lambda engine, *asked: engine.gauss_newton_product(*asked),
    gauss_newton_product=lambda engine, *asked: engine.product(*asked),
)
SCALED_HESSIAN = wrong_matrix(
    "Hessian times 1.0002",
    lambda h, _: 1.0002 * h,
    product=then("product", _scaled),
    gauss_newton_product=then("gauss_newton_product", _scaled),
)
HALF_MIXED = wrong_matrix(
    "half of the mixed block",
    lambda h, d: torch.cat([torch.cat([h[:d, :d], 0.5 * h[:d, d:]], 1), h[d:]]),
    product=_half_mixed,
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


def _flat_interior(
    engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn, *, curved: bool = True
) -> Tensor:
    return engine.hessian(module, solver, y0, ts, _without_jumps(engine, module, solver, y0, ts, loss), curved=curved)


def _flat_product(operation: str) -> Any:
    def product(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn, *along: Any) -> Any:
        flat = _without_jumps(engine, module, solver, y0, ts, loss)
        return getattr(engine, operation)(module, solver, y0, ts, flat, *along)

    return product


def _without_jumps(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn) -> LossFn:
    """Interior observations enter through their slope alone: their jump of second order is forgotten."""
    states = engine.solution(module, solver, y0, ts).detach()
    leaf = states.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(leaf), leaf)
    inner = torch.zeros(len(ts), 1, 1, dtype=y0.dtype)
    inner[1:-1] = 1.0

    def flat(y: Tensor) -> Tensor:
        return loss(y * (1 - inner) + states * inner) + (slope * inner * y).sum()

    return flat


FORGOTTEN_JUMP = wrong_engine(
    "second-order jump of an interior observation forgotten",
    hessian=_flat_interior,
    product=_flat_product("product"),
    gauss_newton_product=_flat_product("gauss_newton_product"),
)

SCALED_Q = wrong_engine("q times 1.0002", factors=then("factors", lambda q, p: (1.0002 * q, p)))
FLIPPED_P = wrong_engine("p with the wrong sign", factors=then("factors", lambda q, p: (q, -p)))
MEAN_P = wrong_engine("p averaged over the batch", factors=then("factors", lambda q, p: (q, p / p.shape[1])))
LAST_Q = wrong_engine(
    "factors of the last time instead of the first", factors=then("factors", lambda q, p: (q.flip(0), p.flip(0)))
)


def _entry(index: int, by: float) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    def change(exact: Tensor, rough: Tensor) -> tuple[Tensor, Tensor]:
        wrong = exact.clone()
        wrong[index] = by * wrong[index]
        return wrong, rough

    return change


SCALED_QTT = wrong_engine("Q_TT times 1.0002", horizon=then("horizon", _entry(1, 1.0002)))
FLIPPED_QT = wrong_engine("Q_T with the wrong sign", horizon=then("horizon", _entry(0, -1.0)))
HALF_QTTHETA = wrong_engine(
    "half of Q_Ttheta", horizon=then("horizon", lambda exact, rough: (torch.cat([exact[:2], exact[2:] / 2]), rough))
)
ROUGH_HORIZON = wrong_engine(
    "squares of first derivatives passed off as Q_TT and Q_Ttheta",
    horizon=then("horizon", lambda exact, rough: (rough, rough)),
)
# the published form, off by a factor: the mean over a batch where the sum was meant, or the other way round
DOUBLED_SQUARES = wrong_engine(
    "squares of first derivatives times two",
    horizon=then("horizon", lambda exact, rough: (exact, torch.cat([rough[:1], 2 * rough[1:]]))),
)


def _mean_horizon(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn) -> Any:
    exact, rough = engine.horizon(module, solver, y0, ts, loss)
    return exact, torch.cat([rough[:1], rough[1:] / len(y0)])


MEAN_SQUARES = wrong_engine("squares of first derivatives over the batch", horizon=_mean_horizon)


class KeepsSteps(nn.Module):
    """A field that keeps every value it ever returned."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.kept: list[Tensor] = []

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The right value, which stays alive."""
        value = self.inner(t, y)
        self.kept.append(value)
        return value


KEEPS_STEPS = around_field("every stage is kept", KeepsSteps)
