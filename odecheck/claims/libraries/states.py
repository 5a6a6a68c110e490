"""States that are tuples or complex numbers, and solutions in float32 (SOL-15 to SOL-17, DER-15, DER-16 and DER-22).

The flow stays the problem's own; its state is handed over in another form: cut into two tensors, or as complex numbers
z = y_1 + i y_2. By torch's convention the derivative in z is ∂L/∂y_1 + i ∂L/∂y_2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, gradient, solution
from odecheck_reference.bounded import Array
from torch import Tensor, nn

from odecheck.claim import claim
from odecheck.claims.shared.graph import flat, no_integral, refusals, trainable, truth_of
from odecheck.engines.base import graph_of
from odecheck.errors import NotApplicable
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import graph as broken
from odecheck.refinement import ladder
from odecheck.subject import Subject, to_numpy

from .parameters import ROUNDOFF32, float32_problem, loosened

Form = tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]


def _cut(y: Tensor) -> tuple[Tensor, ...]:
    return y[..., :1].reshape(*y.shape[:-1]), y[..., 1:]


def _whole(parts: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([parts[0][..., None], parts[1]], dim=-1)


def _as_complex(y: Tensor) -> Tensor:
    return torch.view_as_complex(y.reshape(*y.shape[:-1], -1, 2).contiguous())


def _as_real(z: Tensor) -> Tensor:
    return torch.view_as_real(z).flatten(-2)


TUPLE: Form = (_cut, _whole)
COMPLEX: Form = (_as_complex, _as_real)


class _InForm(nn.Module):
    """A field whose state comes in another form."""

    def __init__(self, inner: nn.Module, form: Form) -> None:
        super().__init__()
        self.inner, self.form = inner, form

    def forward(self, t: Tensor, y: Any) -> Any:
        given, back = self.form
        return given(self.inner(t, back(y)))


def _fits(problem: Problem, form: Form) -> Problem:
    no_integral(problem)
    if problem.field.state % 2:
        raise NotApplicable("speaks of states with an even number of components")
    return problem


def _states(subject: Subject, problem: Problem, form: Form) -> Array:
    def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: object) -> Array:
        given, back = form
        with refusals(subject), torch.no_grad():
            return to_numpy(
                back(graph_of(subject.engine).attached(_InForm(module, form), subject.solver, given(y0), ts))
            )

    return subject.observe(_fits(problem, form), action)


def _derivatives(subject: Subject, problem: Problem, form: Form) -> Array:
    """dL/dy0, put together again from the forms of the start, and dL/dtheta."""

    def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: Callable[[Tensor], Tensor]) -> Array:
        given, back = form
        start = given(y0)
        leaves = [x.detach().requires_grad_() for x in (start if isinstance(start, tuple) else (start,))]
        with refusals(subject):
            begun = tuple(leaves) if isinstance(start, tuple) else leaves[0]
            loss(back(graph_of(subject.engine).attached(_InForm(module, form), subject.solver, begun, ts))).backward()
        found = [torch.zeros_like(x) if x.grad is None else x.grad for x in leaves]
        of_start = back(tuple(found) if isinstance(start, tuple) else found[0])
        params = trainable(module)
        of_theta = flat([p.grad for p in params], params) if params else np.zeros(0)
        return np.r_[to_numpy(of_start).ravel(), of_theta]

    return subject.observe(_fits(problem, form), action)


@claim(
    "SOL-15",
    source="round-off of float32",
    resolution=1e-2,
    mutants=[broken.scaled_states(1.005), broken.HALF_PRECISION, broken.STATES_IN_FLOAT64],
)
def in_float32(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """In float32 the observed states are float32 numbers, and right to its round-off.

    The truncation error is that of the same steps in float64. States of another number type count as not a number.
    """
    asked, loose = float32_problem(problem), loosened(subject)

    def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: object) -> Array:
        with refusals(subject), torch.no_grad():
            states = graph_of(loose.engine).attached(module.float(), loose.solver, y0.float(), ts.float())
        found = to_numpy(states)
        return found if states.dtype == torch.float32 else np.full_like(found, np.nan)

    observed = loose.observe(asked, action)
    finest = ladder(loose, lambda s: s.solution(asked))
    size = float(np.max(np.abs(finest.value)))
    truncation = float(np.max(np.abs(loose.solution(asked) - finest.value)))
    budget = {"truncation": 4 * truncation + finest.radius, "roundoff of float32": ROUNDOFF32 * size}
    return Bounded(observed, budget), solution(asked)


@claim(
    "SOL-16",
    source="a tuple of states is one state",
    resolution=1e-3,
    mutants=[broken.scaled_states(1.002), wrong.SCALED_FIELD],
)
def tuple_of_states(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A state that is cut into a tuple of two tensors of different shapes is solved as the whole."""
    return ladder(subject, lambda s: _states(s, problem, TUPLE)), solution(problem)


@claim(
    "SOL-17",
    source="complex numbers are pairs of real ones",
    resolution=1e-3,
    mutants=[broken.scaled_states(1.002), broken.CONJUGATED, wrong.SCALED_FIELD],
)
def complex_states(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A state of complex numbers is solved as its real and imaginary parts are."""
    return ladder(subject, lambda s: _states(s, problem, COMPLEX)), solution(problem)


@claim(
    "DER-15",
    source="a tuple of states is one state",
    resolution=1e-3,
    mutants=[broken.scaled_states(1.002), broken.PARTS_DETACHED],
)
def derivatives_of_a_tuple(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta are right where the state is a tuple of two tensors of different shapes."""
    return ladder(subject, lambda s: _derivatives(s, problem, TUPLE)), truth_of(problem)


@claim(
    "DER-16",
    source="torch's convention: ∂L/∂z = ∂L/∂(real part) + i ∂L/∂(imaginary part)",
    resolution=1e-3,
    mutants=[broken.scaled_states(1.002), broken.CONJUGATED_GRADIENT],
)
def derivatives_of_complex_states(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta are right where the state is complex."""
    return ladder(subject, lambda s: _derivatives(s, problem, COMPLEX)), truth_of(problem)


@claim(
    "DER-22",
    source="torch's convention: ∂L/∂z = ∂L/∂(real part) + i ∂L/∂(imaginary part)",
    resolution=1e-3,
    mutants=[broken.scaled_states(1.002), broken.TIMES_CONJUGATED, wrong.FLIPPED_FIELD],
)
def times_of_complex_states(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dts are right, and real numbers, where the state is complex: they are those of its two parts."""

    def observe(s: Subject) -> Array:
        def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: Callable[[Tensor], Tensor]) -> Array:
            given, back = COMPLEX
            moving = ts.requires_grad_()
            with refusals(s):
                states = graph_of(s.engine).attached(_InForm(module, COMPLEX), s.solver, given(y0), moving)
                loss(back(states)).backward()
            return to_numpy(torch.zeros_like(ts) if moving.grad is None else moving.grad)

        return s.observe(_fits(problem, COMPLEX), action)

    return ladder(subject, observe), gradient(problem).ts
