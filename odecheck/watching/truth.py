"""What a solve of a training step should have given, in float64: solution, and gradients of ⟨cotangent, y(ts)⟩.

The families of `odecheck_reference.by_adjoint`, with the cotangents of a call, and one more:

- radau: implicit steps, for a stiff field with few states;
- rk4: classical Runge-Kutta of a given number of steps, and the exact derivative of these very steps. For a field with
  kinks, where methods of high order take as many steps as there are kinks.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from odecheck_reference import by_adjoint, by_radau
from odecheck_reference.by_adjoint import Answer, carried_back
from odecheck_reference.path import OutOfBudget, Path
from torch import Tensor

from . import events
from .field64 import Array, Field64
from .repeat import array, real


def cotangents(f: Field64) -> Array | None:
    """dL/dy(ts), (times, states), or None where no loss went backward."""
    given = f.call.cotangent
    if given is None:
        return None
    return array(f.call.rows_of(given))


def _given(f: Field64) -> by_adjoint.Cotangents | None:
    w = cotangents(f)
    if w is None:
        return None
    return (lambda _: w) if f.event is None else events.pulled(f, w)


def _ended(f: Field64, answer: Answer) -> Answer:
    """An answer with the event that its solve ended at, where it ended at one."""
    if answer.t is not None and not f.call.start_time_asks:
        answer.t[0] = 0.0  # it goes nowhere
    return answer if f.event is None else events.ended(f, answer, cotangents(f))


def dop853(f: Field64, *, rtol: float) -> Answer:
    """By DOP853 at a relative tolerance. Raises OutOfBudget."""
    if f.event is not None:
        events.locate(f, rtol=rtol)
    return _ended(f, by_adjoint.dop853(f, _given(f), rtol=rtol))


def adams(f: Field64, along: Path, *, rtol: float) -> Answer:
    """By VODE's Adams formulas; the solution that the adjoint runs along is `along`. Raises OutOfBudget."""
    return _ended(f, by_adjoint.adams(f, _given(f), along, rtol=rtol))


def radau(f: Field64, *, mesh: Array, parts: int) -> Answer:
    """By Radau steps on a mesh, each in parts, and the exact derivative of these steps. Raises OutOfBudget."""
    return _ended(f, by_radau.radau(f, _given(f), mesh=mesh, parts=parts))


def rk4(f: Field64, *, steps: int) -> Answer:
    """By classical Runge-Kutta steps and the exact derivative of these steps. Raises OutOfBudget.

    steps: over the whole interval; each stretch between two times takes its share, at least one.
    """
    if f.event is not None:
        events.stepped_to(f, lambda: _rk4_states(f, _grid(f, steps))[-1])
    grid = _grid(f, steps)
    states = _rk4_states(f, grid)
    places = [int(np.argmin(np.abs(grid - t))) for t in f.times]
    out = Answer(np.stack([states[i] for i in places]))
    if not np.isfinite(out.solution).all():
        raise OutOfBudget("a value was not finite")
    given = _given(f)
    if given is None:
        return _ended(f, out)
    w = given(out.solution)
    leaves = list(f.leaves.values())
    sums = [torch.zeros_like(real(x.detach())) for x in leaves]
    spans = dict(zip(f.times, places, strict=True))

    def back(a: Array, start: float, end: float) -> Array:
        for i in range(spans[start] - 1, spans[end] - 1, -1):
            a = _pull_back_step(f, grid[i], grid[i + 1] - grid[i], states[i], a, leaves, sums)
        return a

    out.y0, out.t, out.adjoints = carried_back(f.f, f.times, w, out.solution, back)
    out.theta = {name: array(total) for name, total in zip(f.leaves, sums, strict=True)}
    return _ended(f, out)


def _rk4_states(f: Field64, grid: Array) -> list[Array]:
    states, y = [f.start], f.start
    for t, h in zip(grid[:-1], np.diff(grid), strict=True):
        y = array(_rk4_step(f, t, h, f.vector(y)))
        states.append(y)
    return states


def _grid(f: Field64, steps: int) -> Array:
    """Times of steps of about equal length, with all requested times and breaks among them."""
    direction = 1.0 if f.times[-1] >= f.times[0] else -1.0
    inside = [b for b in f.call.posed.breaks if direction * f.times[0] < direction * b < direction * f.times[-1]]
    ends = sorted({*map(float, f.times), *inside}, key=lambda t: direction * t)
    length = abs(ends[-1] - ends[0])
    pieces = [np.linspace(a, b, max(1, int(np.ceil(steps * abs(b - a) / length))) + 1)[1:] for a, b in pairwise(ends)]
    return np.concatenate([[ends[0]], *pieces])


def _rk4_step(f: Field64, t: float, h: float, y: Tensor, graph: bool = False) -> Tensor:
    with torch.set_grad_enabled(graph or not f.quiet):
        at = [f.time(x) for x in (t, t + h / 2, t + h)]
        k1 = f.value(at[0], f.parts(y.clone()))
        k2 = f.value(at[1], f.parts(y + h / 2 * k1))
        k3 = f.value(at[1], f.parts(y + h / 2 * k2))
        k4 = f.value(at[2], f.parts(y + h * k3))
        out = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return out if graph else out.detach()


def _pull_back_step(
    f: Field64, t: float, h: float, y: Array, a: Array, leaves: list[Tensor], sums: list[Tensor]
) -> Array:
    start = f.vector(y).requires_grad_()
    with torch.enable_grad():
        end = _rk4_step(f, t, h, start, graph=True)
    grads = torch.autograd.grad(end, [start, *leaves], f.vector(a), allow_unused=True)
    for total, g in zip(sums, grads[1:], strict=True):
        if g is not None:
            total += real(g.detach())
    return array(grads[0])
