"""What a solve of a training step should have given, in float64: solution, and gradients of ⟨cotangent, y(ts)⟩.

First order without a column for each parameter. The adjoint a' = −(∂f/∂y)ᵀ a is solved backwards along the solution,
a jumps by the cotangent at each time, and dL/dθ = ∫ aᵀ ∂f/∂θ dt is a quadrature along it: memory is that of the states
and the parameters. Families that have nothing in common but the field:

- dop853: scipy's DOP853 for y and a, Gauss nodes on the steps of a;
- adams: VODE in Adams form without a Jacobian for y and a, Gauss nodes on panels of its own;
- rk4: classical Runge-Kutta of a given number of steps, and the exact derivative of these very steps. For a field with
  kinks, where methods of high order take as many steps as there are kinks.

Sources: L. Pontryagin's adjoint as in Chen et al., arXiv:1806.07366; Hairer, Nørsett & Wanner I, section II.10
(DOP853); Brown, Byrne & Hindmarsh 1989 (VODE).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from scipy.integrate import ode
from torch import Tensor

from .field64 import Array, Field64, OutOfBudget
from .path import ABSOLUTE, Path, path, scale_of

NODES = 6


@dataclass
class Answer:
    """One answer. solution: (times, states). y0 (states,), t (times,), theta by name: gradients, None without a loss.

    along: the solution as a function of time, where the family has one. growth: of the adjoint, at most.
    """

    solution: Array
    y0: Array | None = None
    t: Array | None = None
    theta: dict[str, Array] = field(default_factory=dict)
    along: Path | None = None
    growth: float = 1.0


class _Integral:
    """∫ aᵀ ∂f/∂leaf dt, gathered node by node. reached: the leaves that a graph ever led to."""

    def __init__(self, f: Field64) -> None:
        self.f = f
        self.sums = {name: torch.zeros_like(x, dtype=torch.float64) for name, x in f.leaves.items()}
        self.nodes, self.weights = np.polynomial.legendre.leggauss(NODES)

    def at(self, t: float, y: Array, a: Array, weight: float) -> None:
        """Add one node."""
        for total, g in zip(self.sums.values(), self.f.vjp(t, y, a, leaves=True)[2], strict=True):
            if g is not None:
                total += weight * g.detach()

    def times(self, lo: float, hi: float) -> list[tuple[float, float]]:
        """Nodes and weights of one panel from lo to hi, in this order. Backwards in time weights are positive."""
        half, middle = (hi - lo) / 2, (hi + lo) / 2
        return [(middle + half * x, -half * w) for x, w in zip(self.nodes, self.weights, strict=True)]

    def result(self) -> dict[str, Array]:
        return {name: total.numpy() for name, total in self.sums.items()}


def cotangents(f: Field64) -> Array | None:
    """dL/dy(ts), (times, states), or None where no loss went backward."""
    given = f.call.cotangent
    if given is None:
        return None
    rows = [f.flat([g[i].double() for g in given]).numpy() for i in range(len(f.times))]
    return np.stack(rows)


def dop853(f: Field64, *, rtol: float) -> Answer:
    """By DOP853 at a relative tolerance. Raises OutOfBudget."""
    w = cotangents(f)
    along = path(f.f, f.start, f.times, rtol=rtol, breaks=f.call.posed.breaks)
    out = Answer(along.at_times, along=along)
    if w is None:
        return out
    integral = _Integral(f)

    def back(a: Array, start: float, end: float) -> Array:
        def rhs(s: float, a: Array) -> Array:
            return -f.vjp(s, along(s), a)[1]

        solved = path(rhs, a, np.array([start, end]), rtol=rtol, breaks=f.call.posed.breaks)
        if f.leaves:
            for chunk in solved.chunks:
                for step in chunk.steps or ():
                    for s, weight in integral.times(step.t_old, step.t):
                        integral.at(s, along(s), step(s), weight)
        out.growth = max(out.growth, float(np.linalg.norm(solved.at_times[-1]) / np.linalg.norm(a)))
        return solved.at_times[-1]

    out.y0, out.t = _backwards(f, w, out.solution, back)
    out.theta = integral.result()
    return out


def adams(f: Field64, along: Path, *, rtol: float) -> Answer:
    """By VODE's Adams formulas; the solution that the adjoint runs along is `along`. Raises OutOfBudget."""
    w = cotangents(f)
    out = Answer(_vode(f.f, f.start, list(f.times), rtol, f.call.posed.breaks))
    if w is None:
        return out
    integral = _Integral(f)
    panels = max(2, round(1.4 * along.steps / max(1, len(f.times) - 1)))

    def back(a: Array, start: float, end: float) -> Array:
        def rhs(s: float, a: Array) -> Array:
            return -f.vjp(s, along(s), a)[1]

        edges = np.linspace(start, end, panels + 1)
        nodes = [node for lo, hi in pairwise(edges) for node in integral.times(lo, hi)]
        times = [start, *(s for s, _ in nodes), end] if f.leaves else [start, end]
        states = _vode(rhs, a, times, rtol, f.call.posed.breaks)
        for (s, weight), here in zip(nodes if f.leaves else (), states[1:-1], strict=f.leaves != {}):
            integral.at(s, along(s), here, weight)
        return states[-1]

    out.y0, out.t = _backwards(f, w, out.solution, back)
    out.theta = integral.result()
    return out


def _vode(f, y: Array, times: list[float], rtol: float, breaks: tuple[float, ...]) -> Array:
    """States at the times, by Adams formulas of order up to 12, started afresh at each break."""
    direction = 1.0 if times[-1] >= times[0] else -1.0
    stops = sorted(
        (b for b in breaks if direction * times[0] < direction * b < direction * times[-1]), key=lambda b: direction * b
    )
    atol = rtol * ABSOLUTE * scale_of(f, times[0], y, times[-1] - times[0])
    out = [y]

    def begun(t: float, y: Array) -> ode:
        solver = ode(f).set_integrator(
            "vode", method="adams", with_jacobian=False, order=12, rtol=rtol, atol=atol, nsteps=100_000
        )
        return solver.set_initial_value(y, t)

    solver = begun(times[0], y)
    for t in times[1:]:
        while stops and direction * stops[0] <= direction * t:
            stop = stops.pop(0)
            solver = begun(stop, _reach(solver, stop))
        out.append(_reach(solver, t))
    return np.stack(out)


def _reach(solver: ode, t: float) -> Array:
    if solver.t != t:
        solver.integrate(t)
    if not solver.successful() or not np.isfinite(solver.y).all():
        raise OutOfBudget("VODE gave up")
    return np.array(solver.y)


def _backwards(f: Field64, w: Array, y: Array, back) -> tuple[Array, Array]:
    """dL/dy0 and dL/dt: a is carried back from time to time, and jumps by the cotangent at each."""
    a, dt = w[-1].copy(), np.zeros(len(f.times))
    for i in range(len(f.times) - 1, 0, -1):
        dt[i] = w[i] @ f.f(f.times[i], y[i]) if w[i].any() else 0.0
        if a.any() and f.times[i] != f.times[i - 1]:
            a = back(a, float(f.times[i]), float(f.times[i - 1]))
        if i == 1:
            dt[0] = -a @ f.f(f.times[0], y[0])
        a = a + w[i - 1]
    return a, dt


def rk4(f: Field64, *, steps: int) -> Answer:
    """By classical Runge-Kutta steps and the exact derivative of these steps. Raises OutOfBudget.

    steps: over the whole interval; each stretch between two times takes its share, at least one.
    """
    w = cotangents(f)
    grid = _grid(f, steps)
    states, y = [f.start], f.start
    for t, h in zip(grid[:-1], np.diff(grid), strict=True):
        y = _rk4_step(f, t, h, torch.from_numpy(y.copy())).numpy()
        states.append(y)
    places = [int(np.argmin(np.abs(grid - t))) for t in f.times]
    out = Answer(np.stack([states[i] for i in places]))
    if not np.isfinite(out.solution).all():
        raise OutOfBudget("a value was not finite")
    if w is None:
        return out
    leaves = list(f.leaves.values())
    sums = [torch.zeros_like(x, dtype=torch.float64) for x in leaves]
    spans = dict(zip(f.times, places, strict=True))

    def back(a: Array, start: float, end: float) -> Array:
        for i in range(spans[start] - 1, spans[end] - 1, -1):
            a = _pull_back_step(f, grid[i], grid[i + 1] - grid[i], states[i], a, leaves, sums)
        return a

    out.y0, out.t = _backwards(f, w, out.solution, back)
    out.theta = {name: total.numpy() for name, total in zip(f.leaves, sums, strict=True)}
    return out


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
        at = [torch.tensor(float(x), dtype=torch.float64) for x in (t, t + h / 2, t + h)]
        k1 = f.value(at[0], f.parts(y.clone()))
        k2 = f.value(at[1], f.parts(y + h / 2 * k1))
        k3 = f.value(at[1], f.parts(y + h / 2 * k2))
        k4 = f.value(at[2], f.parts(y + h * k3))
        out = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return out if graph else out.detach()


def _pull_back_step(
    f: Field64, t: float, h: float, y: Array, a: Array, leaves: list[Tensor], sums: list[Tensor]
) -> Array:
    start = torch.from_numpy(y.copy()).requires_grad_()
    with torch.enable_grad():
        end = _rk4_step(f, t, h, start, graph=True)
    grads = torch.autograd.grad(end, [start, *leaves], torch.from_numpy(np.array(a)), allow_unused=True)
    for total, g in zip(sums, grads[1:], strict=True):
        if g is not None:
            total += g.detach()
    return grads[0].numpy()
