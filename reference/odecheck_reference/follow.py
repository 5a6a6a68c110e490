"""A system followed by several runs that may step over nothing: scanned, cut where something was seen, followed again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .bounded import Array
from .dense import Run, Squeezed
from .jumps import jumps
from .mesh import Mesh
from .scan import Integrals, Samples, drawn, rates, strata_for, unexplained
from .sizes import NATURAL, Sizes, grid_of, power_of_two
from .stepping import Equation, FlowError, Restart, run

How = tuple[str, float]
# the stiff family takes the place of the explicit one where that is much dearer
STIFF: dict[How, How] = {("DOP853", 1e-13): ("Radau", 1e-11), ("DOP853", 1e-12): ("Radau", 1e-10),
                         ("DOP853", 1e-11): ("Radau", 1e-9)}  # fmt: skip
SCOUT, STIFF_SCOUT, SCOUT_BUDGET = ("DOP853", 1e-8), ("Radau", 1e-6), 4_000
# rounds of cutting, cuts, evaluations of all runs together
ROUNDS, MOST_CUTS, TOTAL = 9, 600, 300_000
# larger systems are followed without a scan: their dense output would not fit into memory
LARGEST = 20_000
# of more components than this, sums are looked at in all runs but the sharpest
GROUPS = 128
# a component is followed anew in other units if its size is less than this share of what it was taken for
SCOUTED, HELD = 1e-5, 1 / 16


@dataclass(frozen=True, eq=False)
class Seen:
    """What the scan says of a system of n numbers.

    grain, defect, jumps: (n,), terms of the bar. looked_at: any feature on the trajectory wider than this, in units of
    time, was looked at: two strata. cuts: where integrations ended beside the observations. evaluations: of the field.
    """

    grain: Array
    defect: Array
    jumps: Array
    looked_at: float
    cuts: int
    evaluations: int


# (segment, values on a grid of it) → times worth a closer look, in units of the segment, in increasing order
Places = Callable[[int, Array, Array], Array]


@dataclass(frozen=True, eq=False)
class Followed:
    """The values at all times, one (times, n) for each way of following, and what was seen."""

    values: tuple[Array, ...]
    seen: Seen


class _Follower:
    def __init__(self, equation: Equation, starts: Sequence[Array], restarts: Sequence[Restart | None],
                 hows: Sequence[How], mesh: Mesh, places: Places, seconds: float) -> None:  # fmt: skip
        self.equation, self.starts, self.restarts, self.hows = equation, starts, restarts, list(hows)
        self.mesh, self.places, self.n = mesh, places, len(starts[0])
        self.rng, self.spent, self.stiff = np.random.default_rng(0), 0, False
        self.scanned = self.n <= LARGEST
        self.shown = Squeezed(self.n, GROUPS) if self.n > GROUPS else _everything
        self.strata = strata_for(self.n, seconds)
        self.sizes = Sizes(np.ones(self.n), starts[0] == 0)

    def go(self, which: int, how: How, budget: int) -> Run:
        budget = min(budget, TOTAL - self.spent)
        shown = None if not self.scanned else _as_it_is if which == 0 else self._in_local_units
        found = run(self.equation, *how, self.starts[which], self.restarts[which], self.mesh, self.sizes,
                    budget=budget, shown=shown)  # fmt: skip
        self.spent += found.evaluations
        return found

    def _in_local_units(self, local: Array, v: Array) -> Array:
        return self.shown(v / local)

    def guess(self) -> None:
        """Units from the start and from what the field adds at a few times, before anything was followed."""
        w, ts = self.starts[0], self.equation.ts
        t = ts[0] + (ts[-1] - ts[0]) * self.rng.random(8)
        with np.errstate(all="ignore"):
            rates = np.stack([self.equation.rate(float(one), w) for one in t])
        added = np.nan_to_num(np.abs(rates), posinf=0.0).mean(axis=0) * abs(float(ts[-1] - ts[0]))
        size = np.maximum(np.abs(w), np.where(np.isfinite(added), added, 0.0))
        top = float(np.max(size, initial=0.0)) or 1.0
        self.sizes = Sizes(power_of_two(np.where(size > 0, np.maximum(size, 1e-12 * top), 1e-6 * top)),
                           self.sizes.at_zero)  # fmt: skip

    def measure(self, scout: Run, least: float, most: Array | None = None) -> bool:
        """Sizes from a run; whether none is below this share of what it was taken for."""
        window = float(np.abs(self.equation.ts[-1] - self.equation.ts[0]))
        grids, profiles, unit = list[Array](), list[Array](), self.sizes.unit
        for k, steps in enumerate(scout.steps):
            grid = grid_of(abs(self.equation.length(k)) / window)
            u, _ = steps.at(grid)
            grids.append(grid)
            profiles.append(np.maximum(np.abs(u), self._natural(k, grid, u, steps.where(grid)[2])))
        size = np.max(np.stack([p.max(axis=0) for p in profiles]), axis=0)
        if most is not None:
            size = np.maximum(size, most)
        factor = np.where(size > 0, power_of_two(size), 1.0)
        self.sizes = Sizes(unit * factor, self.sizes.at_zero, grids, [p / factor for p in profiles])
        for k in range(self.equation.segments):
            self.mesh.cut(k, self.sizes.cuts(k))
        return bool(np.all(factor > least))

    def _natural(self, k: int, grid: Array, u: Array, h: Array) -> Array:
        """A share of what adds up into each component within a step h, seen by moving its arguments by 1e-8."""
        t = self.equation.ts[k] + grid * self.equation.length(k)
        signs = 1 + self.rng.choice([-1e-8, 1e-8], size=u.shape)
        moved = t * (1 + self.rng.choice([-1e-8, 1e-8], size=len(t)))
        with np.errstate(all="ignore"):
            w = u * self.sizes.unit
            change = np.abs(self.equation.many(moved, w * signs) - self.equation.many(t, w)) / 1e-8
            share = NATURAL * change * (abs(self.equation.length(k)) / self.sizes.unit) * h[:, None]
        return np.nan_to_num(share, posinf=0.0)

    def scout(self) -> None:
        """Find out the sizes, and whether the system is stiff."""
        self.guess()
        for attempt in range(4):
            how = STIFF_SCOUT if self.stiff else SCOUT
            try:
                first = self.go(0, how, SCOUT_BUDGET)
            except FlowError:
                first = self._stiff_scout() if not self.stiff else None
                if first is None:
                    first = self.go(0, how, TOTAL)
            if self.measure(first, SCOUTED) or attempt == 3:
                break
        if self.stiff:
            self.hows = [STIFF.get(how, how) for how in self.hows]

    def _stiff_scout(self) -> Run | None:
        try:
            found = self.go(0, STIFF_SCOUT, SCOUT_BUDGET)
        except FlowError:
            return None
        self.stiff = True
        return found

    def follow(self) -> Followed:
        if not self.scanned:
            return self._unseen()
        self.scout()
        left: list[str] = []
        for _ in range(ROUNDS):
            sharp = self.go(0, self.hows[0], TOTAL)
            if self._jumps(sharp):
                left = ["jumps"]
                continue
            looks = [self._look(sharp, k) for k in range(self.equation.segments)]
            samples = [look[0] for look in looks]
            found, defect = self._examine(sharp, samples, self.hows[0][1], sharp=True)
            most = np.max(np.stack([look[2] for look in looks]), axis=0)
            if not self._sizes_hold(sharp, most):
                left = ["sizes"]
                continue
            others = list[Run]()
            if not found:
                others = [self.go(i, how, TOTAL) for i, how in enumerate(self.hows) if i > 0]
                for other, how in zip(others, self.hows[1:], strict=True):
                    found = found or self._examine(other, samples, how[1], sharp=False)[0]
            if not found:
                grain = np.sum(np.stack([look[1] for look in looks]), axis=0)
                return self._bound([sharp, *others], Integrals(defect, grain, most))
            left = [self._cut(samples[k], bad) for k, bad in found.items()]
            if self.mesh.count > MOST_CUTS:
                break
        raise self._gave_up(left)

    def _jumps(self, sharp: Run) -> bool:
        """Whether the run met jumps in time that the integrations did not end at; now they do."""
        met = False
        for k, steps in enumerate(sharp.steps):
            start, length, unit = float(self.equation.ts[k]), self.equation.length(k), self.sizes.unit

            def rate(x: float, v: Array, start: float = start, length: float = length, unit: Array = unit) -> Array:
                return self.equation.rate(start + x * length, v * unit) * (length / unit)

            with np.errstate(all="ignore"):
                found = jumps(steps, rate, lambda x, k=k: self.sizes.local(k, x, x))
            for before, after in found:
                met = met or before not in self.mesh.after[k]
                self.mesh.jump(k, before, after)
        return met

    def _look(self, sharp: Run, k: int) -> tuple[Samples, Array, Array]:
        grid = np.linspace(0, 1, 1025)
        marks = self.places(k, grid, sharp.steps[k].at(grid)[0] * self.sizes.unit)
        return drawn(self.equation, sharp, self.mesh, self.sizes, k, self.strata, marks, self.rng,
                     stiff=self.stiff, shown=self.shown)  # fmt: skip

    def _examine(self, which: Run, samples: list[Samples], tolerance: float, *,
                 sharp: bool) -> tuple[dict[int, Array], Array]:  # fmt: skip
        """What is not explained, by segment, and the integral of the defect."""
        found, defect = dict[int, Array](), np.zeros(self.n)
        for one in samples:
            own = partial(self._own, one) if self.shown is _everything else None
            bad, signed = unexplained(which, one, tolerance, sharp=sharp, own=own)
            if sharp:
                defect += signed
            if bad.any():
                found[one.k] = bad
        return found, defect

    def _own(self, samples: Samples, which: Array, z: Array) -> Array:
        local = samples.local[which]
        return rates(self.equation, self.sizes, samples.k, samples.x[which], z * local) / local

    def _sizes_hold(self, sharp: Run, most: Array) -> bool:
        """Whether every component is of about the size it was taken for; else it is measured anew."""
        before, cuts = self.sizes, [set(one) for one in self.mesh.cuts]
        if self.measure(sharp, HELD, most):
            self.sizes, self.mesh.cuts = before, cuts  # those that the runs were made with
            return True
        return False

    def _cut(self, samples: Samples, bad: Array) -> str:
        self.mesh.zoom(samples.k, samples.lo[bad], samples.hi[bad])
        at = float(self.equation.ts[samples.k]) + float(samples.x[bad][0]) * self.equation.length(samples.k)
        return f"{np.count_nonzero(bad)} places, the first at t = {at:.8g}"

    def _bound(self, runs: list[Run], integrals: Integrals) -> Followed:
        unit = self.sizes.unit
        window = abs(float(self.equation.ts[-1] - self.equation.ts[0]))
        jumps = np.max(np.stack([one.jumps for one in runs]), axis=0)
        seen = Seen(integrals.grain * unit, integrals.defect * unit, jumps, 2 * window / self.strata,
                    self.mesh.count, self.spent)  # fmt: skip
        return Followed(tuple(one.w for one in runs), seen)

    def _unseen(self) -> Followed:
        """A system too large for a scan: followed as it is, and it says that nothing was looked at."""
        self.guess()
        runs = [self.go(i, how, TOTAL) for i, how in enumerate(self.hows)]
        nothing = np.zeros(self.n)
        return Followed(tuple(one.w for one in runs), Seen(nothing, nothing, nothing, np.inf, 0, self.spent))

    def _gave_up(self, left: list[str]) -> FlowError:
        return FlowError(
            f"problem {self.equation.name!r}: the field is not what its solution says at {'; '.join(left)}, after "
            f"{self.mesh.count} cuts. Usual cause: a jump, a kink or a spike that is met again and again, or noise in "
            "the field. Declare the times of its jumps as breaks, or shorten the times."
        )


def follow(equation: Equation, starts: Sequence[Array], hows: Sequence[How], *, breaks: Sequence[float] = (),
           restarts: Sequence[Restart | None] | None = None, places: Places | None = None,
           seconds: float = 0.0) -> Followed:  # fmt: skip
    """Follow an equation in each of several ways, with whatever is narrow looked at, or refuse.

    Args:
        equation: what is solved.
        starts: w at ts[0], one for each way.
        hows: (solver, tolerance) of each way; the first is the sharpest, and the one whose value counts.
        breaks: times at which all integrations end.
        restarts: for each way, what happens to w at an observation; None for nothing.
        places: where to look closer than anywhere, see `Places`.
        seconds: CPU time of one evaluation, where they cannot be had together; 0 where they can.

    Returns:
        The values at all times by every way, and what was seen.

    Raises:
        FlowError: the budget is spent, the solution ends, or something was seen that cutting does not resolve.
    """
    follower = _Follower(equation, starts, restarts or [None] * len(hows), hows, Mesh(equation.ts, breaks),
                         places or _nowhere, seconds)  # fmt: skip
    return follower.follow()


def _nowhere(_k: int, _grid: Array, _w: Array) -> Array:
    return np.zeros(0)


def _everything(z: Array) -> Array:
    return z


def _as_it_is(_local: Array, v: Array) -> Array:
    return v
