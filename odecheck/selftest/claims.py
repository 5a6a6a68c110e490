"""What the battery alone asks: optimizers' steps, factors of single samples, densities, derivatives of the very steps.

No claims of `odecheck.claims`: no solver library has these classes, and all that is promised there is about the flow.
A wrong derivative of steps that becomes right as they become short is inconclusive for a claim about the flow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, gradient, hessian, solution, volume
from odecheck_reference.bounded import Array
from torch import nn

from odecheck import ode
from odecheck.claim import Mutant, claim, family
from odecheck.claims.shared.observed_curvature import ended_problem, gather
from odecheck.claims.shared.terminal import factor_rows
from odecheck.curvature import Gather, KroneckerSums, SampleIntegrals
from odecheck.engines.base import graph_of
from odecheck.engines.torchdiffeq import Backprop
from odecheck.errors import NotApplicable
from odecheck.fields.cnf import CNF
from odecheck.mutants import derivatives as wrong
from odecheck.mutants.base import WrongEngine
from odecheck.optim.horizon import HorizonDescent, HorizonFeedback, HorizonNewton, HorizonOptimizer
from odecheck.optim.snopt import SNOpt
from odecheck.refinement import ladder
from odecheck.solvers import Stepped
from odecheck.subject import Subject

EPS = float(np.finfo(np.float64).eps)
DAMPING, PENALTY = 0.3, 0.4
TERMS = 4096  # rounded terms of a sum over steps, stages and samples, at most
LAYERS, SUMMED = 3, 16  # products and terms of a call of the fields that the battery asks STEP-1 of, at most

ODEINT: Any = vars(ode)["odeint"]
OPT = family("OPT", title="What an optimizer's step is", order=210, speaks_of="second derivatives")
FLOW = family("FLOW", title="What a flow of densities promises", order=220)
STEP = family("STEP", title="What derivatives of the very steps promise", order=230)


@dataclass(frozen=True)
class Equipped(WrongEngine):
    """A right engine, and the classes that are used with it."""

    optimizer: type[SNOpt] = SNOpt
    samples: type[SampleIntegrals] = SampleIntegrals
    newton: type[HorizonNewton] = HorizonNewton
    feedback: type[HorizonFeedback] = HorizonFeedback
    flow: type[CNF] = CNF


def _equipped(subject: Subject) -> Equipped:
    engine = subject.engine
    return engine if isinstance(engine, Equipped) else Equipped(engine, "")


def _with(**wrong: type) -> Mutant:
    (kind,) = wrong.values()
    name = f"{kind.__bases__[0].__name__}: {kind.__name__.lower()}"
    return Mutant(name, lambda s: replace(s, engine=Equipped(s.engine, name, **cast(Any, wrong))))


class Undamped(SNOpt):
    """The damping is a thousandth of what was asked for."""

    def step(self, closure: Any = None) -> Any:
        self.param_groups[0]["damping"] /= 1000
        return super().step(closure)


class Idle(SNOpt):
    """Gradients stay what they are."""

    def step(self, closure: Any = None) -> Any:
        return None


@claim(
    "OPT-1",
    source="arXiv:2109.14158: the preconditioned step",
    resolution=1e-8,
    mutants=[_with(optimizer=Undamped), _with(optimizer=Idle)],
)
def step_is_a_dense_solve(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Every step of SNOpt makes (A ⊗ B + ε I)⁻¹ vec G of a layer's gradient G, with A and B of its last refresh.

    A and B of the refresh are gathered a second time, by a sink of its own along the same solve. The second step is no
    refresh, and has the factors of the first. The bar is what a backward stable solve promises, n κ eps of the largest
    entry with n rows and condition κ, once for the dense solve and once for the eigenbases.
    """
    ended = ended_problem(problem)
    optimizer = _equipped(subject).optimizer

    def observe(module: nn.Module, y0: torch.Tensor, ts: torch.Tensor, loss: Any) -> tuple[Array, Array, Array]:
        sums, attached = KroneckerSums(), graph_of(subject.engine).attached
        with (gather := Gather(module, sums)):
            loss(attached(module, subject.solver, y0, ts)).backward()
        gather.finish()
        layers = [m for m in module.modules() if isinstance(m, nn.Linear)]
        factors = sums.factors(along=set(layers), reduction="sum", rank=1)
        if not factors:
            raise NotApplicable("the field has no linear layer")
        precondition = optimizer(module, damping=DAMPING, refresh=2, reduction="sum")
        seen: list[Array] = []
        right: list[Array] = []
        bars: list[Array] = []
        for scale in (1.0, -0.5):
            module.zero_grad()
            (scale * loss(attached(module, subject.solver, y0, ts))).backward()
            for layer in layers:
                a, b = factors[layer].A.numpy(), factors[layer].B.numpy()
                slope = _matrix(layer)
                dense = np.kron(b, a) + DAMPING * np.eye(len(a) * len(b))
                right.append(np.asarray(np.linalg.solve(dense, slope.ravel()), dtype=np.float64))
                round_off = 2 * len(dense) * float(np.linalg.cond(dense)) * EPS
                bars.append(np.full(len(dense), round_off * float(np.max(np.abs(right[-1])))))
            precondition.step()
            seen += [_matrix(layer).ravel() for layer in layers]
        return np.concatenate(seen), np.concatenate(right), np.concatenate(bars)

    seen, right, bars = subject.observe(ended, observe)
    size = float(np.max(np.abs(right)))
    if not size > 0:
        raise NotApplicable("no layer has a gradient")
    return Bounded(seen / size), Bounded(right / size, {"round-off": bars / size})


class Halved(SampleIntegrals):
    """The cotangents' part of every sample counts half."""

    def along(self, layer: nn.Module, held: Any, stage: Any) -> None:
        z, g, counts = held
        super().along(layer, (z, g / 2**0.5, counts), stage)


@claim(
    "OPT-2",
    source="E ∫ z zᵀ dt and E Σ_i ∫ g_i g_iᵀ dt, sample by sample",
    resolution=1e-8,
    mutants=[_with(samples=Halved)],
)
def samples_add_up(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The factors that single samples add up to are those that are gathered as sums, for sums and means of losses.

    Both are sums of the same rounded terms along the same solve.
    """
    ended = ended_problem(problem)
    sums, single = KroneckerSums(), _equipped(subject).samples()
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


class Straight(HorizonNewton):
    """What the other optimizer did is forgotten."""

    def _change(self, seen: Any, length: float, penalty: float) -> float:
        seen.mixed.clear()
        return super()._change(seen, length, penalty)


class Unpenalised(HorizonFeedback):
    """The penalty has no slope."""

    def _change(self, seen: Any, length: float, penalty: float) -> float:
        return super()._change(seen, 0.0, penalty)


@claim(
    "OPT-3",
    source="arXiv:2109.14158: optimising the integration time; and with exact derivatives",
    resolution=1e-5,
    mutants=[_with(newton=Straight), _with(feedback=Unpenalised)],
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
    kit = _equipped(subject)

    kinds = (HorizonDescent, kit.feedback, kit.newton)

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


class Unsigned(CNF):
    """Densities grow where they should fall."""

    def _solve(self, x: torch.Tensor, span: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        y, change = super()._solve(x, span)
        return y, -change


@claim(
    "FLOW-1",
    source="arXiv:1806.07366: the instantaneous change of variables",
    resolution=1e-5,
    mutants=[_with(flow=Unsigned)],
)
def change_is_the_volume(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The change of a flow's log-density is log det ∂y(T)/∂y(t0), back and forth; and the rows come back."""
    truth, states = volume(problem), solution(problem)

    def observe(s: Subject) -> Array:
        def run(module: nn.Module, y0: torch.Tensor, ts: torch.Tensor, _: Any) -> Array:
            span = float(ts[0]), float(ts[-1])
            flow = _equipped(s).flow(module, span=span, solver=s.solver, odeint=ODEINT)
            y, change = flow.inverse(y0)
            z, back = flow(y)
            parts = y, z, change.exp(), (-back).exp()
            return np.concatenate([part.detach().numpy().ravel() for part in parts])

        return s.observe(problem, run)

    ends, radii = states.value[-1].ravel(), states.radius[-1].ravel()
    start = problem.y0.ravel()
    value = np.concatenate([ends, start, truth.value, truth.value])
    radius = np.concatenate([radii, np.zeros_like(start), truth.radius, truth.radius])
    return ladder(subject, observe), Bounded(value, {"variational equations": radius})


@claim(
    "STEP-1",
    source="the chain rule, step by step",
    resolution=1e-8,
    mutants=[wrong.scaled("y0", 1 + 1e-6), wrong.scaled("theta", 1 + 1e-6), wrong.TRANSPOSED_JACOBIAN],
)
def derivatives_of_the_very_steps(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta of fixed steps are those of backpropagation through the same steps, to round-off.

    That is an eps for each product in the chain, of which there are LAYERS in each of four stages of every step; a sum
    in it is over at most SUMMED terms.
    """
    if subject.engine.target != "steps" or not isinstance(subject.solver, Stepped):
        raise NotApplicable("no derivatives of fixed steps")
    mine, theirs = (s.gradient(problem) for s in (subject, replace(subject, engine=Backprop(), around=())))
    observed = np.concatenate([mine.y0.ravel(), mine.theta])
    expected = np.concatenate([theirs.y0.ravel(), theirs.theta])
    steps = np.ceil(abs(problem.ts[-1] - problem.ts[0]) / subject.solver.step) + len(problem.ts)
    bar = 4 * steps * LAYERS * SUMMED * EPS * float(np.max(np.abs(expected)))
    return Bounded(observed), Bounded(expected, {"round-off": np.full(len(expected), bar)})


def _size(x: torch.Tensor) -> float:
    return float(x.norm())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _matrix(layer: nn.Linear) -> Array:
    """The gradient of a layer's weight, with its bias as a last column."""
    assert layer.weight.grad is not None
    columns = [layer.weight.grad]
    bias = dict(layer.named_parameters()).get("bias")
    if bias is not None:
        assert bias.grad is not None
        columns.append(bias.grad[:, None])
    return torch.cat(columns, dim=1).numpy().copy()
