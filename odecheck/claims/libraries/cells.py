"""What models put around a solve: a map to its start, a time scale of their own (claims DER-24 and DER-25).

A recurrent cell solves over s from 0 to 1 with the field Δ f(t0 + s Δ, y); a model with momentum begins at (h, m, m²).
The derivatives in t0, Δ and what the start is made of then come through the solve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, gradient
from odecheck_reference.bounded import Array
from torch import Tensor, nn

from odecheck.claim import claim
from odecheck.claims.shared.graph import flat, no_integral, refusals
from odecheck.engines.base import graph_of
from odecheck.mutants import cells as broken
from odecheck.mutants import derivatives as wrong
from odecheck.refinement import ladder
from odecheck.solvers import Stepped
from odecheck.subject import Subject, to_numpy

Loss = Callable[[Tensor], Tensor]


class Cell(nn.Module):
    """dy/ds = length · F(begin + s · length, y), with begin and length as parameters.

    Args:
        inner: F, called as inner(t, y).
        begin: t at s = 0.
        length: t at s = 1, less begin.
    """

    def __init__(self, inner: nn.Module, begin: Tensor, length: Tensor) -> None:
        super().__init__()
        self.begin, self.length = nn.Parameter(begin.clone()), nn.Parameter(length.clone())
        self.inner = inner

    def forward(self, s: Tensor, y: Tensor) -> Tensor:
        """The rate of y in s."""
        return self.length * self.inner(self.begin + s * self.length, y)


@claim(
    "DER-24",
    source="the chain rule, for a cell with a time scale of its own",
    resolution=1e-3,
    mutants=[broken.BEGIN_DETACHED, broken.LENGTH_DETACHED, wrong.SCALED_FIELD],
)
def time_scale_of_a_cell(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Solved over s from 0 to 1 with the field Δ f(t0 + s Δ, y), the derivatives in t0, Δ and the start are right.

    With t_i = t0 + s_i Δ they are dL/dt0 = Σ dL/dt_i over all times, and dL/dΔ = Σ s_i dL/dt_i.
    """
    exact = gradient(no_integral(problem))
    first, length = problem.ts[0], problem.ts[-1] - problem.ts[0]
    places = (problem.ts - first) / length

    def observe(s: Subject) -> Array:
        def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: Loss) -> Array:
            cell, start = Cell(module, ts[0], ts[-1] - ts[0]), y0.requires_grad_()
            with refusals(s):
                states = graph_of(s.engine).attached(cell, unit(s, float(length)).solver, start, torch.tensor(places))
                loss(states).backward()
            leaves = [cell.begin, cell.length, start]
            return flat([leaf.grad for leaf in leaves], leaves)

        return s.observe(problem, action)

    rows = np.stack([np.ones_like(places), places])
    value = np.r_[rows @ exact.ts.value, exact.y0.value.ravel()]
    radius = np.r_[np.abs(rows) @ exact.ts.radius, exact.y0.radius.ravel()]
    return ladder(subject, observe), Bounded(value, {"reference": radius})


def unit(subject: Subject, length: float) -> Subject:
    """The subject with steps in units of an interval of this length, where it has steps."""
    if isinstance(subject.solver, Stepped):
        return replace(subject, solver=subject.solver.with_step(subject.solver.step / abs(length)))
    return subject


@claim(
    "DER-25",
    source="the chain rule, for a start that is made of something else",
    resolution=1e-3,
    mutants=[broken.START_DETACHED, broken.LEAVES_ALONE, wrong.SCALED_FIELD],
)
def map_to_the_start(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Where the start is made of other numbers, as y0 = ± x², split into parts and joined, dL/dx is right.

    A model with momentum begins at (h, m, m²): what is asked for is the derivative in m, and not in the start.
    """
    exact = gradient(no_integral(problem)).y0
    signs = np.where(problem.y0 < 0, -1.0, 1.0)
    roots = np.sqrt(np.abs(problem.y0))

    def observe(s: Subject) -> Array:
        def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: Loss) -> Array:
            x = torch.tensor(roots, requires_grad=True)
            begin, rest = x[:, :1], x[:, 1:]
            start = torch.cat([begin.square(), rest.square()], dim=1) * torch.tensor(signs)
            with refusals(s):
                loss(graph_of(s.engine).attached(module, s.solver, start, ts)).backward()
            return to_numpy(torch.zeros_like(x) if x.grad is None else x.grad)

        return s.observe(problem, action)

    by = 2 * roots * signs
    return ladder(subject, observe), Bounded(by * exact.value, {"reference": np.abs(by) * exact.radius})
