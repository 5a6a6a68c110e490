"""First derivatives of a loss of a solution at any size: the adjoint backwards, and dL/dtheta as a quadrature along it.

The adjoint a' = −(∂f/∂y)ᵀ a is solved backwards along the solution, a jumps by the cotangent dL/dy at each time, and
dL/dtheta = ∫ aᵀ ∂f/∂theta dt. Nothing has a column for each parameter: memory is that of the states and the parameters.
Families that have nothing in common but the field:

- dop853: scipy's DOP853 for y and a, Gauss nodes on the steps of a;
- adams: VODE in Adams form without a Jacobian for y and a, Gauss nodes on panels of its own.

Sources: L. Pontryagin's adjoint as in Chen et al., arXiv:1806.07366; Hairer, Nørsett & Wanner I, section II.10
(DOP853); Brown, Byrne & Hindmarsh 1989 (VODE).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import scipy.integrate  # pyright: ignore[reportMissingTypeStubs]

from .bounded import Array
from .path import ABSOLUTE, OutOfBudget, Path, path, scale_of

NODES = 6
Rate = Callable[[float, Array], Array]
_ode: Any = scipy.integrate.ode


class Pullable(Protocol):
    """A field on flat states (n,) that pulls cotangents back.

    Attributes:
        start: y(times[0]), (n,).
        times: monotone, (times,).
        breaks: further times at which solves end, where the field is not smooth.
    """

    @property
    def start(self) -> Array: ...
    @property
    def times(self) -> Array: ...
    @property
    def breaks(self) -> Sequence[float]: ...

    def f(self, t: float, y: Array) -> Array:
        """The slope, (n,)."""
        ...

    def pull(self, t: float, y: Array, a: Array) -> Array:
        """aᵀ ∂f/∂y, (n,)."""
        ...

    def gather(self, t: float, y: Array, a: Array) -> dict[str, Array]:
        """aᵀ ∂f/∂parameter by the name of the parameter; those that the field does not reach may be left out."""
        ...

    def zeros(self) -> dict[str, Array]:
        """An array of zeros for each parameter, by name; none of a field without parameters."""
        ...


@dataclass
class Answer:
    """One answer. solution: (times, n). y0 (n,), t (times,), theta by name: gradients, None without a loss.

    adjoints: (times, n), dL/dy at each time, the observation there counted. along: the solution as a function of time,
    where the family has one; back: the adjoint likewise, of each stretch between times. growth: of the adjoint, at
    most.
    """

    solution: Array
    y0: Array | None = None
    t: Array | None = None
    theta: dict[str, Array] = field(default_factory=dict[str, Array])
    adjoints: Array | None = None
    along: Path | None = None
    back: list[Path] = field(default_factory=list[Path])
    growth: float = 1.0


Cotangents = Callable[[Array], Array]


class _Integral:
    """∫ aᵀ ∂f/∂theta dt, gathered node by node."""

    def __init__(self, f: Pullable) -> None:
        self.f, self.sums = f, f.zeros()

    def at(self, t: float, y: Array, a: Array, weight: float) -> None:
        """Add one node."""
        for name, g in self.f.gather(t, y, a).items():
            self.sums[name] += weight * g


def nodes(lo: float, hi: float) -> list[tuple[float, float]]:
    """Gauss–Legendre nodes of one panel, and their weights.

    Args:
        lo: where the panel begins.
        hi: where it ends; the order of the nodes goes from lo to hi, and weights are positive backwards in time.

    Returns:
        NODES pairs of a time and a weight.
    """
    x, w = np.polynomial.legendre.leggauss(NODES)
    half, middle = (hi - lo) / 2, (hi + lo) / 2
    return [(middle + half * float(one), -half * float(weight)) for one, weight in zip(x, w, strict=True)]


def dop853(f: Pullable, cotangents: Cotangents | None, *, rtol: float) -> Answer:
    """By DOP853 at a relative tolerance.

    Args:
        f: the field.
        cotangents: the states (times, n) → dL/dy at each time, (times, n); None for the solution alone.
        rtol: of each step.

    Returns:
        The answer, with the solution and the adjoint as functions of time.

    Raises:
        OutOfBudget: a solver gave up, or the field says so.
    """
    along = path(f.f, f.start, f.times, rtol=rtol, breaks=tuple(f.breaks))
    out = Answer(along.at_times, along=along)
    if cotangents is None:
        return out
    integral = _Integral(f)

    def back(a: Array, start: float, end: float) -> Array:
        def rhs(s: float, a: Array) -> Array:
            return -f.pull(s, along(s), a)

        solved = path(rhs, a, np.array([start, end]), rtol=rtol, breaks=tuple(f.breaks))
        out.back.append(solved)
        if integral.sums:
            for lo, hi in solved.panels:
                for s, weight in nodes(lo, hi):
                    integral.at(s, along(s), solved(s), weight)
        out.growth = max(out.growth, float(np.linalg.norm(solved.at_times[-1]) / np.linalg.norm(a)))
        return solved.at_times[-1]

    _backwards(f, cotangents(out.solution), out, back)
    out.theta = integral.sums
    return out


def adams(f: Pullable, cotangents: Cotangents | None, along: Path, *, rtol: float) -> Answer:
    """By VODE's Adams formulas of order up to 12.

    Args:
        f: the field.
        cotangents: as for `dop853`.
        along: the solution that the adjoint runs along; it may be of another family.
        rtol: of each step.

    Returns:
        The answer.

    Raises:
        OutOfBudget: VODE gave up, or the field says so.
    """
    out = Answer(adams_states(f.f, f.start, f.times.tolist(), rtol, f.breaks))
    if cotangents is None:
        return out
    integral = _Integral(f)
    panels = max(2, round(1.4 * along.steps / max(1, len(f.times) - 1)))

    def back(a: Array, start: float, end: float) -> Array:
        def rhs(s: float, a: Array) -> Array:
            return -f.pull(s, along(s), a)

        edges = _edges(start, end, panels, f.breaks)
        each = [node for lo, hi in pairwise(edges) for node in nodes(lo, hi)] if integral.sums else []
        states = adams_states(rhs, a, [start, *(s for s, _ in each), end], rtol, f.breaks)
        for (s, weight), here in zip(each, states[1:-1], strict=True):
            integral.at(s, along(s), here, weight)
        return states[-1]

    _backwards(f, cotangents(out.solution), out, back)
    out.theta = integral.sums
    return out


def _edges(start: float, end: float, panels: int, breaks: Sequence[float]) -> list[float]:
    """Panels of about equal length, with the breaks among their ends."""
    inside = [b for b in breaks if min(start, end) < b < max(start, end)]
    return sorted({*np.linspace(start, end, panels + 1).tolist(), *inside}, reverse=end < start)


def adams_states(f: Rate, y: Array, times: Sequence[float], rtol: float, breaks: Sequence[float]) -> Array:
    """States at the times by VODE's Adams formulas of order up to 12.

    Args:
        f: the field on flat states.
        y: at the first time, (n,).
        times: monotone; states are given at each, (times, n).
        rtol: of each step.
        breaks: times at which it is started afresh.

    Raises:
        OutOfBudget: VODE gave up, or a value was not finite.
    """
    direction = 1.0 if times[-1] >= times[0] else -1.0
    stops = sorted(
        (b for b in breaks if direction * times[0] < direction * b < direction * times[-1]), key=lambda b: direction * b
    )
    atol = rtol * ABSOLUTE * scale_of(f, times[0], y, times[-1] - times[0])
    out = [y]

    def begun(t: float, y: Array) -> Any:
        solver = _ode(f).set_integrator(
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


def _reach(solver: Any, t: float) -> Array:
    if solver.t != t:
        solver.integrate(t)
    if not solver.successful() or not np.isfinite(solver.y).all():
        raise OutOfBudget("VODE gave up")
    return np.array(solver.y)


def _backwards(f: Pullable, w: Array, out: Answer, back: Callable[[Array, float, float], Array]) -> None:
    """dL/dy at each time and dL/dt: a is carried back from time to time, and jumps by the cotangent at each."""
    out.y0, out.t, out.adjoints = carried_back(f.f, f.times, w, out.solution, back)


def carried_back(
    f: Rate, times: Array, w: Array, y: Array, back: Callable[[Array, float, float], Array]
) -> tuple[Array, Array, Array]:
    """Carry an adjoint back over all stretches between times.

    Args:
        f: the field.
        times: (times,).
        w: the cotangents at them, (times, n).
        y: the states at them, (times, n).
        back: (a, from, to) → a there: the adjoint over one stretch.

    Returns:
        dL/dy0 (n,), dL/dt (times,) and dL/dy at each time (times, n).
    """
    a, dt, all_of_them = w[-1].copy(), np.zeros(len(times)), np.array(w)
    for i in range(len(times) - 1, 0, -1):
        dt[i] = w[i] @ f(times[i], y[i]) if w[i].any() else 0.0
        if a.any() and times[i] != times[i - 1]:
            a = back(a, float(times[i]), float(times[i - 1]))
        if i == 1:
            dt[0] = -a @ f(times[0], y[0])
        a = a + w[i - 1]
        all_of_them[i - 1] = a
    return a, dt, all_of_them
