"""How a module is used around a solve: solved twice, or changed before it is differentiated (claims USE-1 to USE-6).

A graph holds what was computed. Whoever computes a part of it again on the way back, as an adjoint does, computes it
with what the module is by then: the derivative of another flow than the one that was solved. That must be refused
loudly or be right.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from odecheck_reference import Bounded, Problem
from odecheck_reference.bounded import Array
from odecheck_reference.looked import kept
from torch import Tensor, nn

from odecheck.claim import claim, family
from odecheck.claims.shared.graph import REFUSALS, backward, no_integral, refusals, start_and_parameters, truth_of
from odecheck.engines.base import graph_of
from odecheck.errors import NotApplicable
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import usage as broken
from odecheck.refinement import ladder
from odecheck.subject import Subject, tensor

FASTER = 1.25


@kept(64)
def elsewhere(problem: Problem) -> Problem:
    """The problem from another start."""
    return no_integral(problem).with_(name=f"{problem.name}, elsewhere", y0=0.5 * problem.y0 - 0.25)


USE = family(
    "USE",
    title="What a solve promises whose module is used again or changed",
    order=140,
    topic="use",
    alone="asks what becomes of a graph when what it was made of changes",
)


@claim("USE-1", source="the sum rule", resolution=1e-3, mutants=[broken.FIRST_SOLVE_FORGOTTEN, wrong.SCALED_FIELD])
def solved_twice(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """One module, solved from two starts before one backward(), has the sum of both derivatives in its parameters.

    Compared are dL/dy0 of the first solve and dL/dtheta of both.
    """
    first, second = truth_of(no_integral(problem)), truth_of(elsewhere(problem))
    size = problem.y0.size
    value, radius = first.value.copy(), first.radius.copy()
    value[size:] += second.value[size:]
    radius[size:] += second.radius[size:]

    def observe(s: Subject) -> Array:
        def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: Callable[[Tensor], Tensor]) -> Array:
            starts = [y0.requires_grad_(), tensor(elsewhere(problem).y0)]
            with refusals(s):
                values = [loss(graph_of(s.engine).attached(module, s.solver, start, ts)) for start in starts]
                sum(values, torch.zeros_like(values[0])).backward()
            return start_and_parameters(module, y0)

        return s.observe(problem, action)

    return ladder(subject, observe), Bounded(value, {"reference": radius})


class _Paced(nn.Module):
    """A field with a pace, an attribute that is no parameter."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.pace = 1.0

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.pace * self.inner(t, y)


class _Buffered(nn.Module):
    """A field with a pace that is a buffer."""

    pace: Tensor

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("pace", torch.ones(()))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.pace.to(y.dtype) * self.inner(t, y)


def _changed_between(
    subject: Subject, problem: Problem, wrap: Callable[[nn.Module], nn.Module], change: Callable[[nn.Module], None]
) -> tuple[Bounded, Bounded]:
    """By how much a gradient differs when the module is changed before backward(), relative to it; 0 if refused."""
    module, start = backward(subject, problem, wrap)
    right = start_and_parameters(module, start)

    def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: Callable[[Tensor], Tensor]) -> float:
        whole, begun = wrap(module), y0.requires_grad_()
        with refusals(subject):
            value = loss(graph_of(subject.engine).attached(whole, subject.solver, begun, ts))
        change(whole)
        try:
            value.backward()
        except REFUSALS:
            return 0.0  # a refusal is as good as the right answer
        return float(np.max(np.abs(start_and_parameters(whole, begun) - right)) / np.max(np.abs(right)))

    # the same steps are differentiated twice: nothing but round-off may be between them
    return Bounded(subject.observe(no_integral(problem), action)), Bounded(0.0, {"roundoff": 1e-9})


def _parameters_step(module: nn.Module) -> None:
    """What an optimizer does."""
    params = [p for p in module.parameters() if p.requires_grad]
    if not params:
        raise NotApplicable("the field has no parameters")
    with torch.no_grad():
        for p in params:
            p.mul_(FASTER)


def _parameters_replaced(module: nn.Module) -> None:
    """What loading other weights, or averaging them, does: a parameter's `data` becomes another tensor."""
    for p in module.parameters():
        p.data = FASTER * p.data


def _faster(module: nn.Module) -> None:
    assert isinstance(module, _Paced)
    module.pace = FASTER


def _buffer_faster(module: nn.Module) -> None:
    assert isinstance(module, _Buffered)
    module.pace = torch.full_like(module.pace, FASTER)


RECOMPUTED = [broken.RECOMPUTES]
GRAPH = "torch: a graph differentiates what was computed"


@claim("USE-2", source=GRAPH, resolution=1e-6, scale=1.0, mutants=RECOMPUTED)
def parameters_changed_before_backward(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Parameters that change in place between the solve and backward(), as in a step of an optimizer, do not change the
    gradient, or are refused.

    Observed is the change of the gradient, relative to its largest component.
    """
    return _changed_between(subject, problem, lambda m: m, _parameters_step)


@claim("USE-3", source=GRAPH, resolution=1e-6, scale=1.0, mutants=RECOMPUTED)
def attribute_changed_before_backward(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """An attribute of the field that changes between the solve and backward() does not change the gradient, or is
    refused.

    Observed is the change of the gradient, relative to its largest component.
    """
    return _changed_between(subject, problem, _Paced, _faster)


@claim("USE-4", source=GRAPH, resolution=1e-6, scale=1.0, mutants=RECOMPUTED)
def buffer_replaced_before_backward(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A buffer of the field that is replaced between the solve and backward() does not change the gradient, or is
    refused.

    Observed is the change of the gradient, relative to its largest component.
    """
    return _changed_between(subject, problem, _Buffered, _buffer_faster)


@claim("USE-5", source=GRAPH, resolution=1e-6, scale=1.0, mutants=RECOMPUTED)
def attribute_changed_between_solves(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """An attribute that changes between two solves of one module, before one backward(), leaves to each solve its own
    derivative, or is refused.

    Right is what two separate modules give. Observed is the difference, relative to its largest component.
    """
    no_integral(problem)

    def solve_both(same: bool) -> Array | None:
        def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: Callable[[Tensor], Tensor]) -> Array | None:
            first = _Paced(module)
            second = first if same else _Paced(module)
            start = y0.requires_grad_()
            with refusals(subject):
                value = loss(graph_of(subject.engine).attached(first, subject.solver, start, ts))
                second.pace = FASTER
                value = value + loss(graph_of(subject.engine).attached(second, subject.solver, start, ts))
            try:
                value.backward()
            except REFUSALS:
                return None
            return start_and_parameters(module, start)

        return subject.observe(problem, action)

    right, found = solve_both(False), solve_both(True)
    assert right is not None
    gap = 0.0 if found is None else float(np.max(np.abs(found - right)) / np.max(np.abs(right)))
    return Bounded(gap), Bounded(0.0, {"roundoff": 1e-9})


@claim("USE-6", source=GRAPH, resolution=1e-6, scale=1.0, mutants=RECOMPUTED)
def data_replaced_before_backward(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Parameters whose `data` is replaced between the solve and backward() do not change the gradient, or are refused.

    Observed is the change of the gradient, relative to its largest component.
    """
    if problem.field.params == 0:
        raise NotApplicable("the field has no parameters")
    return _changed_between(subject, problem, lambda m: m, _parameters_replaced)
