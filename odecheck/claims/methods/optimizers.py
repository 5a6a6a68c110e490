"""What an optimizer's step is: of a preconditioner, of its sums over samples, of the last time (OPT-1 to OPT-3).

Asked of odecheck's own classes, or of those that a subject brings in its `kit`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, gradient, hessian, solution
from odecheck_reference.bounded import Array
from torch import nn

from odecheck.claim import claim
from odecheck.claims.shared.dense_steps import DAMPING, EPS, Compared, curvature_refused, matrix_of
from odecheck.claims.shared.kit import of_kit
from odecheck.claims.shared.observed_curvature import ended_problem, gather, layers_of
from odecheck.claims.shared.terminal import factor_rows
from odecheck.curvature import Gather, KroneckerSums
from odecheck.engines.base import graph_of
from odecheck.errors import NotApplicable
from odecheck.mutants import optimizers as wrong
from odecheck.optim.horizon import HorizonNewton, HorizonOptimizer
from odecheck.refinement import ladder
from odecheck.subject import Subject

PENALTY = 0.4
TERMS = 4096  # rounded terms of a sum over steps, stages and samples, at most


@claim(
    "OPT-1",
    source="arXiv:2109.14158: the preconditioned step",
    resolution=1e-8,
    mutants=[wrong.UNDAMPED, wrong.DAMPED_TWICE, wrong.IDLE],
)
def step_is_a_dense_solve(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Every step of SNOpt makes (A ⊗ B + ε I)⁻¹ vec G of a layer's gradient G, with A and B of its last refresh.

    A and B of the refresh are gathered a second time, by a sink of its own along the same solve. The second step is no
    refresh, and has the factors of the first.
    """
    ended = ended_problem(problem)
    optimizer = of_kit(subject, "optimizer")

    def observe(module: nn.Module, y0: torch.Tensor, ts: torch.Tensor, loss: Any) -> Compared:
        layers, attached = layers_of(module), graph_of(subject.engine).attached
        sums, compared = KroneckerSums(), Compared()
        with (gather := Gather(module, sums)):
            loss(attached(module, subject.solver, y0, ts)).backward()
        gather.finish()
        factors = sums.factors(along=set(layers), reduction="sum", rank=1)
        precondition = optimizer(module, damping=DAMPING, refresh=2, reduction="sum", spectrum="factors")
        for scale in (1.0, -0.5):
            module.zero_grad()
            (scale * loss(attached(module, subject.solver, y0, ts))).backward()
            for layer in layers:
                compared.expect(factors[layer], matrix_of(layer))
            precondition.step()
            for layer in layers:
                compared.observe(layer)
        return compared

    with curvature_refused():
        return subject.observe(ended, observe).both


@claim(
    "OPT-2",
    source="E ∫ z zᵀ dt and E Σ_i ∫ g_i g_iᵀ dt, sample by sample",
    resolution=1e-8,
    mutants=[wrong.HALVED, wrong.FORGETFUL],
)
def samples_add_up(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The factors that single samples add up to are those that are gathered as sums, for sums and means of losses.

    Both are sums of the same rounded terms along the same solve.
    """
    ended = ended_problem(problem)
    sums, single = KroneckerSums(), of_kit(subject, "samples")()
    layers, again = gather(subject, ended, sums), gather(subject, ended, single)
    rank = factor_rows(ended.loss, solution(ended).value[-1]).shape[1]
    seen: list[Array] = []
    right: list[Array] = []
    for reduction in ("sum", "mean"):
        found, blocks = sums.factors(along=set(layers), reduction=reduction, rank=rank), single.blocks(reduction)
        for layer, same in zip(layers, again, strict=True):
            if layer in found:
                mine, theirs = found[layer], blocks[same].factors
                size = _size(mine.A), _size(mine.B)
                right += [(m / n).numpy().ravel() for m, n in zip((mine.A, mine.B), size, strict=True)]
                seen += [(m / n).numpy().ravel() for m, n in zip((theirs.A, theirs.B), size, strict=True)]
    expected = np.concatenate(right)
    return Bounded(np.concatenate(seen)), Bounded(expected, {"round-off": np.full(len(expected), TERMS * EPS)})


@claim(
    "OPT-3",
    source="arXiv:2109.14158: optimising the integration time; and with exact derivatives",
    resolution=1e-5,
    mutants=[wrong.STRAIGHT, wrong.UNPENALISED],
)
def steps_of_the_last_time(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The steps δT of descent, the feedback policy and Newton's, after a known step δθ, are those of their formulas.

    δT = −η (Q_T + c (T − t0) + m·δθ) / k with m, k = 0, 1; or Q_T Q_θ, Q_T² + c; or Q_Tθ, |Q_TT + c|.
    """
    ended = ended_problem(problem)
    first, second = gradient(ended), hessian(ended)
    last, start = len(second.value) - 1, ended.y0.size
    own = np.s_[start : start + ended.field.params]
    slope, q, length = float(first.ts.value[-1]), first.theta.value, float(ended.ts[-1] - ended.ts[0])
    step = 0.01 * np.cos(np.arange(len(q)))
    open_gain = slope + PENALTY * length
    gauss_newton = (open_gain + slope * float(q @ step)) / (slope**2 + PENALTY)
    exact, bend = open_gain + float(second.value[last, own] @ step), abs(float(second.value[last, last]) + PENALTY)
    wanted = -np.array([open_gain, gauss_newton, exact / bend])
    if length <= 0 or not np.isfinite(wanted).all():
        raise NotApplicable("the last time is before the first, or a curvature vanishes")
    # so that no step is held back
    rates = 0.25 * length / np.abs(wanted)
    kinds = [of_kit(subject, name) for name in ("descent", "feedback", "newton")]

    def observe(s: Subject) -> Array:
        return np.array(
            [s.observe(ended, partial(_stepped, s, kind, rate, step)) for kind, rate in zip(kinds, rates, strict=True)]
        )

    # what an error of the reference's derivatives, relative to the largest, does to each step
    known = max(float(b.radius.max()) for b in (first.ts, first.theta, second))
    swing = known * (2 + np.abs(step).sum()) * np.array([1, 1 + abs(slope), 1])
    divisor = np.array([1, slope**2 + PENALTY, bend])
    bars = rates * (swing / divisor + np.abs(wanted) * known * (1 + 2 * abs(slope)) / divisor)
    return ladder(subject, observe), Bounded(rates * wanted, {"variational equations": bars})


def _stepped(
    subject: Subject,
    kind: type[HorizonOptimizer],
    rate: float,
    step: Array,
    module: nn.Module,
    y0: torch.Tensor,
    ts: torch.Tensor,
    loss: Any,
) -> float:
    """δT of one step, the parameters having moved by `step`."""
    last = ts[-1].clone().requires_grad_()
    horizon = kind(last, module.parameters(), learning_rate=rate, penalty=PENALTY, begin=float(ts[0]))
    module.zero_grad()
    y = graph_of(subject.engine).attached(module, subject.solver, y0, torch.cat([ts[:-1], last[None]]))
    end = y[-1]
    value = loss(torch.cat([y[:-1], end[None]]))
    if isinstance(horizon, HorizonNewton):
        horizon.measure(value, end, module)
        value.backward()
    else:
        value.backward()
        horizon.measure()
    moved = torch.as_tensor(step)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(moved[: p.numel()].view_as(p))
            moved = moved[p.numel() :]
    horizon.step()
    return float(last.detach() - ts[-1])


def _size(x: torch.Tensor) -> float:
    return float(x.norm())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
