"""One run of one of scipy's solvers over all segments of a problem, ending at every cut and keeping its dense output.

The equation w' = rate(t, w) is solved segment by segment, from one observation to the next, in x = (t − ts[k]) / length
in [0, 1], with every component in a power of two of about its own size: nothing is lost at 1e-300, and a window of
1e-14 is a window like any other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.integrate  # pyright: ignore[reportMissingTypeStubs]

from .bounded import Array
from .dense import Run, Steps
from .layered import Layered
from .mesh import Interval, Mesh
from .radau13 import Radau13
from .sizes import Sizes
from .vode import Vode

_solvers: Any = scipy.integrate
METHODS: dict[str, Any] = {name: getattr(_solvers, name) for name in ("DOP853", "LSODA", "Radau", "BDF")} | {
    "VODE": Vode,
    "Radau13": Radau13,
}
# evaluations of one run, and jumps that it may step across
MAX_EVALUATIONS = 200_000
MAX_JUMPS = 200
# the multistep family takes at most this share of the window in a step; in a cut-out interval all take a sixteenth
LONGEST = 1 / 40
LONGEST_INSIDE = 1 / 16
# so many times the step before a cut is the first one behind it at most: the estimate of a longer one's error may be
# small by accident, and those at several tolerances off by the same
LONGER = 1.0


class FlowError(ArithmeticError):
    """The flow does not exist up to the last time, or cannot be followed within the budget.

    Attributes:
        reached: the share of the way that was gone; none where that is not known.
    """

    reached: float = 0.0


@dataclass(frozen=True, eq=False)
class Equation:
    """w' = rate(t, w), w (n,), observed at ts.

    many: rates at many times, t (m,) and w (m, n) → (m, n). state: so many of the first components are a state that
    moves by itself; what follows depends on it. leading: the last of the components are derivatives of so many first
    ones, wrong if the rates of these jump along the way. layered: how w is made of layers, for Radau13 and BDF.
    """

    name: str
    ts: Array
    rate: Callable[[float, Array], Array]
    many: Callable[[Array, Array], Array]
    state: int
    leading: int
    layered: Layered | None = None

    @property
    def segments(self) -> int:
        return len(self.ts) - 1

    def length(self, k: int) -> float:
        return float(self.ts[k + 1] - self.ts[k])


Restart = Callable[[int, Array], Array]
# (local sizes (n,), values (m, n)) → what is kept (m, ...)
Shown = Callable[[Array, Array], Array]


def run(
    equation: Equation,
    method: str,
    tolerance: float,
    start: Array,
    restart: Restart | None,
    mesh: Mesh,
    sizes: Sizes,
    *,
    budget: int = MAX_EVALUATIONS,
    shown: Shown | None = None,
) -> Run:
    """Follow the equation from `start` at ts[0] to all of ts.

    Args:
        equation: what is solved.
        method: a name out of METHODS.
        tolerance: relative; the absolute one is a tenth of it, times the local size of each component.
        start: (n,).
        restart: (number of the observation reached, w there) → w from which to go on, or None.
        mesh: where the integrations end.
        sizes: of the components along the way.
        budget: the largest number of evaluations.
        shown: what is kept of the dense output, from values (m, n) and their local sizes (n,); None for nothing.

    Returns:
        w at all times as it goes on from there: (times, n), and the steps.

    Raises:
        FlowError: the solver gave up, the state left the finite numbers or the budget is spent.
    """
    walk = _Walk(equation, method, tolerance, sizes, budget, shown)
    w, rows, steps = start, [start], list[Steps]()
    for k in range(equation.segments):
        walk.steps = Steps()
        v, end = w / sizes.unit, 0.0
        for interval in mesh.intervals(k):
            v = walk.over(k, end, interval.lo, v)
            v, end = walk.across(k, interval, v), interval.hi
        w = v * sizes.unit
        if k + 1 < equation.segments:
            walk.pace *= abs(equation.length(k) / equation.length(k + 1))
        if restart is not None:
            w = restart(k + 1, w)
        rows.append(w)
        steps.append(walk.steps)
    return Run(np.stack(rows), steps, walk.jumps * sizes.unit, walk.calls)


class _Walk:
    """The way through all intervals, with what was spent on it."""

    def __init__(
        self, equation: Equation, method: str, tolerance: float, sizes: Sizes, budget: int, shown: Shown | None
    ) -> None:
        self.equation, self.method, self.tolerance = equation, method, tolerance
        self.sizes, self.budget, self.shown = sizes, budget, shown
        self.steps, self.calls, self.crossed, self.pace = Steps(), 0, 0, np.inf
        self.jumps: Array = np.zeros(len(sizes.unit))

    def rhs(self, k: int) -> Callable[[float, Array], Array]:
        start, length, unit = float(self.equation.ts[k]), self.equation.length(k), self.sizes.unit
        factor, rate = length / unit, self.equation.rate

        def counted(x: float, v: Array) -> Array:
            self.count(k, 1, x)
            return rate(start + x * length, v * unit) * factor

        return counted

    def count(self, k: int, evaluations: int, x: float) -> None:
        """Evaluations at a time. Raises FlowError when they are too many."""
        self.calls += evaluations
        if self.calls > self.budget:
            cause = "the problem is very stiff or oscillates too often. Shorten the times."
            raise self.refused(k, x, f"more than {self.budget} evaluations", cause)

    def across(self, k: int, interval: Interval, v: Array) -> Array:
        """From one cut to the next; where a solver cannot make its step short enough, over the jump that is there."""
        rhs, lo = self.rhs(k), interval.lo
        local = self.sizes.local(k, interval.lo, interval.hi)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while True:
                lo, v = self._solve(k, rhs, lo, interval, v, local)
                if lo < interval.hi:
                    lo, v = self._jump(k, rhs, lo, interval.hi, v, local)
                if lo >= interval.hi:  # a jump may lie just before the cut
                    return v

    def over(self, k: int, end: float, start: float, v: Array) -> Array:
        """From one side of a jump that is known to the other: next to no time, and what that may cost is counted."""
        if start <= end:
            return v
        self.pace = np.inf
        rhs = self.rhs(k)
        before, after = rhs(end, v), rhs(start, v)
        self.jumps = self.jumps + np.abs(after - before) * (start - end)
        return v + (start - end) * after

    def _solve(
        self, k: int, rhs: Callable[[float, Array], Array], lo: float, interval: Interval, v: Array, local: Array
    ) -> tuple[float, Array]:
        width = interval.hi - interval.lo
        limits: dict[str, Any] = {"max_step": np.inf}
        if interval.short:
            limits = {"max_step": width * LONGEST_INSIDE, "first_step": min(width / 64, interval.hi - lo)}
        if self.method in ("LSODA", "VODE", "BDF"):
            limits["max_step"] = min(limits["max_step"], self._longest(k))
        limits |= self._implicit(k)
        solver = METHODS[self.method](
            rhs, lo, v, interval.hi, rtol=self.tolerance, atol=0.1 * self.tolerance * local, **limits
        )
        if self.method == "DOP853":  # its guess of a first step goes by two slopes
            solver.h_abs = min(solver.h_abs, LONGER * self.pace)
        # of the last two steps, as the very last one is cut off; an interval may have a single one
        lengths = [0.0, self.pace if np.isfinite(self.pace) else 0.0]
        while solver.status == "running":
            before = solver.y
            try:
                message: str | None = solver.step()
            except ValueError as error:  # linear algebra that meets what is not finite
                message = str(error)
            if message is not None:
                if message and "spacing" in message and np.isfinite(before).all() and self.method != "LSODA":
                    return float(solver.t), before
                raise self.refused(
                    k,
                    solver.t,
                    f"{self.method} at tolerance {self.tolerance:g} gave up ({message})",
                    "the solution may end there. Shorten the times.",
                )
            if not np.isfinite(solver.y).all():
                raise self.refused(
                    k, solver.t, "the state is not finite", "the solution may end there. Shorten the times."
                )
            if self.shown is not None:
                self.steps.add(solver.t_old, solver.t, solver.dense_output(), partial(self.shown, local))
            lengths = [lengths[1], solver.t - solver.t_old]
        self.pace = max(lengths)
        return interval.hi, solver.y

    def _implicit(self, k: int) -> dict[str, Any]:
        """What the implicit methods are told of the system."""
        system, start, length = self.equation.layered, float(self.equation.ts[k]), self.equation.length(k)
        if system is None or self.method not in ("Radau13", "BDF"):
            return {}
        if self.method == "BDF":
            return {"jac_sparsity": system.pattern}
        return {
            "system": system,
            "start": start,
            "length": length,
            "unit": self.sizes.unit,
            "count": partial(self.count, k),
        }

    def _longest(self, k: int) -> float:
        """The longest step of the multistep family: it may not grow where nothing happens, as the other one does."""
        window = abs(float(self.equation.ts[-1] - self.equation.ts[0]))
        return min(1.0, window * LONGEST / abs(self.equation.length(k)))

    def _jump(
        self, k: int, rhs: Callable[[float, Array], Array], lo: float, hi: float, v: Array, local: Array
    ) -> tuple[float, Array]:
        self.crossed, self.pace = self.crossed + 1, np.inf
        gap = min(64 * float(np.spacing(max(lo, 1e-3))), hi - lo)
        before = rhs(lo, v)
        after = rhs(lo + gap, v + gap * before)
        cost = np.abs(after - before) * gap
        if self.crossed > MAX_JUMPS or not np.isfinite(after).all() or np.any(cost > np.abs(v) + local):
            raise self.refused(
                k,
                lo,
                "no step is short enough",
                "the solution ends there, or the field jumps too "
                "often. Shorten the times, or declare the times of its jumps as breaks.",
            )
        self.jumps = self.jumps + cost
        v = v + gap * after
        if self.shown is not None:
            self.steps.add(lo, lo + gap, lambda x: np.repeat(v[:, None], len(x), axis=1), partial(self.shown, local))
        return lo + gap, v

    def refused(self, k: int, x: float, seen: str, cause: str) -> FlowError:
        t = float(self.equation.ts[k]) + float(x) * self.equation.length(k)
        ts = self.equation.ts
        found = FlowError(
            f"problem {self.equation.name!r}: {seen} at t = {t:.8g}, on the way from "
            f"{self.equation.ts[0]:g} to {self.equation.ts[-1]:g}; {cause}"
        )
        found.reached = (t - float(ts[0])) / float(ts[-1] - ts[0])
        return found
