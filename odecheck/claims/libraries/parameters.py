"""Derivatives in parameters that are frozen, unused, shared, none at all, or of another precision (DER-10 to DER-14,
DER-21 and DER-23).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, gradient
from odecheck_reference.bounded import Array
from odecheck_reference.looked import kept
from torch import Tensor, nn

from odecheck.claim import claim
from odecheck.claims.papers.node import PONTRYAGIN
from odecheck.claims.shared.graph import (
    backward,
    flat,
    no_integral,
    refusals,
    start_and_parameters,
    trainable,
    truth_of,
)
from odecheck.engines.base import GraphEngine, graph_of
from odecheck.errors import NotApplicable, Unsupported
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import graph as broken
from odecheck.refinement import ladder
from odecheck.solvers import Toleranced
from odecheck.subject import Subject, to_numpy

EPS32 = float(np.finfo(np.float32).eps)
# of float32 arithmetic: a thousand rounded operations, each at the size of the largest component
ROUNDOFF32 = 1e3 * EPS32


def _first_frozen(module: nn.Module) -> nn.Module:
    trainable(module)[0].requires_grad_(False)
    return module


@claim(
    "DER-10",
    source="torch: a leaf that requires no gradient has none",
    resolution=1e-3,
    mutants=[broken.FROZEN_GETS_ZERO, broken.FROZEN_STOPS_OTHERS, wrong.SCALED_FIELD],
)
def frozen_parameter(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A frozen parameter gets no gradient at all, and the other derivatives stay what they were.

    Zero in the place of none is a defect: an optimizer with weight decay moves a parameter whose gradient is zero.
    Compared are the derivatives, zero for the frozen ones, and how many frozen parameters have a gradient.
    """
    truth = truth_of(problem)
    named = {name: p for name, p in subject.module(problem).named_parameters() if p.requires_grad}
    if not named:
        raise NotApplicable("the field has no parameters that are trained")
    value, radius = truth.value.copy(), truth.radius.copy()
    here = slice(problem.y0.size, problem.y0.size + next(iter(named.values())).numel())
    value[here] = radius[here] = 0.0

    def observe(s: Subject) -> Array:
        module, start = backward(s, problem, _first_frozen)
        leaves = [start, *(module.get_parameter(name) for name in named)]  # the one that was frozen just now as well
        touched = sum(p.grad is not None for p in module.parameters() if not p.requires_grad)
        return np.r_[flat([leaf.grad for leaf in leaves], leaves), touched]

    return ladder(subject, observe), Bounded(np.r_[value, 0.0], {"reference": np.r_[radius, 0.0]})


class _WithSpare(nn.Module):
    """A field with one more parameter, that it does not use."""

    def __init__(self, inner: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.inner = inner
        self.spare = nn.Parameter(torch.ones(2, dtype=dtype))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.inner(t, y)


@claim(
    "DER-11",
    source="a derivative in what nothing depends on is zero",
    resolution=1e-3,
    mutants=[broken.UNUSED_GETS_ONES, broken.UNUSED_STOPS_OTHERS, wrong.SCALED_FIELD],
)
def unused_parameter(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A parameter that the field does not use has a zero gradient or none, and the others stay what they were."""

    def observe(s: Subject) -> Array:
        module, start = backward(s, problem, lambda m: _WithSpare(m, torch.float64))
        assert isinstance(module, _WithSpare)
        leaves = [start, *trainable(module.inner), module.spare]
        return flat([leaf.grad for leaf in leaves], leaves)

    truth = truth_of(problem)
    value, radius = np.r_[truth.value, 0.0, 0.0], np.r_[truth.radius, 0.0, 0.0]
    return ladder(subject, observe), Bounded(value, {"reference": radius})


class _Twice(nn.Module):
    """A field that has one and the same module, and so its parameters, in two places."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.first = inner
        self.second = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return (self.first(t, y) + 3 * self.second(t, y)) / 4


@claim("DER-12", source="the sum rule", resolution=1e-3, mutants=[broken.SHARED_ONCE, wrong.SCALED_FIELD])
def shared_parameter(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A parameter that is used in two places has the sum of both derivatives, once."""

    def observe(s: Subject) -> Array:
        module, start = backward(s, problem, _Twice)
        return start_and_parameters(module, start)

    return ladder(subject, observe), truth_of(problem)


class _Seen(nn.Module):
    """A field that notes the number type of every state it is called with."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.types: list[torch.dtype] = []

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        self.types.append(y.dtype)
        return self.inner(t, y.to(torch.float32)).to(y.dtype)


def loosened(subject: Subject) -> Subject:
    """At a tolerance that float32 can meet."""
    if isinstance(subject.solver, Toleranced):
        return replace(subject, solver=subject.solver.with_tolerance(1e-4, None))
    return subject


@claim("DER-13", source="one precision for one solve", resolution=1e-6, scale=1.0, mutants=[broken.BACKWARD_IN_FLOAT64])
def one_precision(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The field of a float32 model is asked in float32 forwards and backwards, also beside an unused float64 parameter.

    Observed is the share of calls with a state of another number type.
    """
    no_integral(problem)
    loose = loosened(subject)

    def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: object) -> float:
        seen = _Seen(module.float())
        whole, start = _WithSpare(seen, torch.float64), y0.float().requires_grad_()
        with refusals(subject):
            states = graph_of(loose.engine).attached(whole, loose.solver, start, ts.float())
            states.square().sum().backward()
        return sum(kind != torch.float32 for kind in seen.types) / len(seen.types)

    return Bounded(loose.observe(problem, action)), Bounded(0.0)


@kept(64)
def float32_problem(problem: Problem) -> Problem:
    """The problem at numbers that float32 has."""
    rounded = {k: getattr(problem, k).astype(np.float32) for k in ("y0", "theta", "ts")}
    return no_integral(problem).with_(**rounded)


@claim(
    "DER-14",
    source="round-off of float32",
    resolution=1e-2,
    mutants=[broken.scaled_states(1.005), broken.STATES_IN_FLOAT64],
)
def in_float32(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """In float32 the states, dL/dy0 and dL/dtheta are float32 numbers, and right to its round-off.

    The truncation error is that of the same steps in float64. A result of another number type counts as not a number.
    """
    asked, loose = float32_problem(problem), loosened(subject)

    def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: object) -> Array:
        whole, start = module.float(), y0.float().requires_grad_()
        with refusals(subject):
            states = graph_of(loose.engine).attached(whole, loose.solver, start, ts.float())
            loss(states).backward()  # type: ignore[operator]
        kinds = {states.dtype, *(p.grad.dtype for p in (start, *whole.parameters()) if p.grad is not None)}
        found = start_and_parameters(whole, start)
        return found if kinds == {torch.float32} else np.full_like(found, np.nan)

    def in_float64(s: Subject) -> Array:
        got = s.gradient(asked)
        return np.r_[got.y0.ravel(), got.theta]

    observed = loose.observe(asked, action)
    finest = ladder(loose, in_float64)
    size = float(np.max(np.abs(finest.value)))
    truncation = float(np.max(np.abs(in_float64(loose) - finest.value)))
    budget = {"truncation": 4 * truncation + finest.radius, "roundoff of float32": ROUNDOFF32 * size}
    return Bounded(observed, budget), truth_of(asked)


@claim(
    "DER-23",
    source="round-off of float32",
    resolution=1e-2,
    mutants=[wrong.scaled("ts", 1.02), wrong.FORGOTTEN_START_TIME, broken.DERIVATIVES_IN_FLOAT64],
)
def times_in_float32(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """In float32 dL/dts are float32 numbers, and right to its round-off.

    The truncation error is that of the same steps in float64. A result of another number type counts as not a number.
    """
    asked, loose = float32_problem(problem), loosened(subject)

    def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: Any) -> Array:
        with refusals(subject):
            got = loose.engine.gradient(module.float(), loose.solver, y0.float(), ts.float(), loss)
        if got.no_times:
            raise Unsupported(got.no_times)
        found = to_numpy(got.ts)
        return found if got.ts.dtype == torch.float32 else np.full_like(found, np.nan)

    observed = loose.observe(asked, action)
    finest = ladder(loose, lambda s: s.gradient(asked).ts)
    size = float(np.max(np.abs(finest.value)))
    truncation = float(np.max(np.abs(loose.gradient(asked).ts - finest.value)))
    budget = {"truncation": 4 * truncation + finest.radius, "roundoff of float32": ROUNDOFF32 * size}
    return Bounded(observed, budget), gradient(asked).ts


class _Bare(nn.Module):
    """A field that has no parameters, whatever it is made of."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = [inner.requires_grad_(False)]

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.inner[0](t, y)


def _all_frozen(module: nn.Module) -> nn.Module:
    return module.requires_grad_(False)


@claim(
    "DER-21",
    source=PONTRYAGIN,
    resolution=1e-3,
    mutants=[broken.NEEDS_PARAMETERS, broken.FROZEN_GETS_ZERO, wrong.scaled("y0", 1.002), wrong.SCALED_FIELD],
)
def no_parameters(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 is right where all parameters are frozen, which then get no gradient, and where there are none.

    Compared are dL/dy0 of both, by the engine's own call and by backward(), and how many parameters have a gradient.
    """
    exact, size = gradient(no_integral(problem)).y0, problem.y0.size

    def observe(s: Subject) -> Array:
        found: list[Array] = []
        for change in (_all_frozen, _Bare):
            with refusals(s):
                got = replace(s, around=(*s.around, change)).gradient(problem)
            found += [got.y0.ravel(), np.array([float(got.theta.size)])]
            if isinstance(s.engine, GraphEngine):
                module, start = backward(s, problem, change)
                touched = sum(p.grad is not None for p in module.parameters())
                found += [to_numpy(torch.zeros_like(start) if start.grad is None else start.grad).ravel(), [touched]]
        return np.concatenate(found)

    observed = ladder(subject, observe)
    times = len(observed.value) // (size + 1)
    value, radius = (np.tile(np.r_[part.ravel(), 0.0], times) for part in (exact.value, exact.radius))
    return observed, Bounded(value, {"reference": radius})
