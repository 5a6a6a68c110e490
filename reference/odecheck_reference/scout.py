"""Before a system is followed: how large its components are along the way, and whether it is stiff."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .bounded import Array
from .dense import Run, Squeezed
from .layered import forgotten, is_small, reach
from .mesh import Mesh
from .sizes import NATURAL, Shared, Sizes, grid_of, power_of_two
from .stepping import Equation, FlowError, Restart, run

How = tuple[str, float]
# the stiff family takes the place of the explicit one where that is much dearer
STIFF: dict[How, How] = {
    ("DOP853", 1e-13): ("Radau", 1e-11),
    ("DOP853", 1e-12): ("Radau", 1e-10),
    ("DOP853", 1e-11): ("Radau", 1e-9),
}
# the same of a system whose layers are known
STIFF_LAYERED: dict[How, How] = {
    ("DOP853", 1e-13): ("Radau13", 1e-11),
    ("DOP853", 1e-12): ("Radau13", 1e-10),
    ("DOP853", 1e-11): ("Radau13", 1e-9),
    ("LSODA", 1e-11): ("BDF", 1e-9),
    ("LSODA", 1e-10): ("BDF", 1e-7),
}
# With layers, at 1e-9 Newton's iteration meets round-off of rates of 1e5. BDF is another formula, in scipy's code, with
# differences of the rates as its Jacobian; a hundred between its two tolerances, as ten hardly change a variable order.
STIFF_SECOND: dict[How, How] = {("BDF", 1e-9): ("BDF", 1e-8), ("BDF", 1e-7): ("BDF", 1e-6)}
# evaluations of one of its runs
SECOND_BUDGET = 30_000
SCOUT, STIFF_SCOUT, SCOUT_BUDGET = ("DOP853", 1e-6), ("Radau", 1e-6), 4_000
LAYERED_SCOUT = ("Radau13", 1e-6)
# explicit steps that take more evaluations than this, and half of what implicit ones do, are short of breath: these ask
# seven at once, and take few more where more digits are wanted
MANY, AT_ONCE = 600, 2
# and steps of so many time constants of the field are as long as stability allows
PACED = 1.5
# an implicit run that has come so many times as far within the same budget goes on
FARTHER = 4.0
# evaluations of all runs together
TOTAL = 300_000
# of larger systems the multistep family is one without n² numbers, which has no dense output: no scan
LARGEST = 4_000
MULTISTEP: dict[How, How] = {("LSODA", 1e-11): ("VODE", 1e-11), ("LSODA", 1e-10): ("VODE", 1e-10)}
# of more components than this, sums are looked at in all runs but the sharpest
GROUPS = 128
# what a stiff layered system of so many components forgets is told of all of them
MOST_SHOWN = 1_500
# a component is followed anew in other units if its size is less than this share of what it was taken for
SCOUTED, HELD = 1e-5, 1 / 16
# a stiff system is followed to digits of this share of the largest size of each component, not to those of what is left
# where it has decayed: to e^-1000 of itself within a thousandth of the window
FORGOTTEN = 1e-4
# a start and slopes below this are the far end of something that is elsewhere, and no size
SMALLEST = 1e-300
# how many components, each made of the one before, pass their natural sizes on
CHAIN = 5
# (segment, values on a grid of it) → times worth a closer look, in units of the segment, in increasing order
Places = Callable[[int, Array, Array], Array]


class Scout:
    """A system on its way: its mesh, its sizes, whether it is stiff, and what was spent on it."""

    def __init__(
        self,
        equation: Equation,
        starts: Sequence[Array],
        restarts: Sequence[Restart | None],
        hows: Sequence[How],
        mesh: Mesh,
        places: Places,
        strata: int,
        shared: Shared,
    ) -> None:
        self.equation, self.starts, self.restarts, self.hows = equation, starts, restarts, list(hows)
        self.mesh, self.places, self.n, self.shared = mesh, places, len(starts[0]), shared
        self.rng, self.spent, self.stiff = np.random.default_rng(0), 0, False
        self.scanned = self.n <= LARGEST
        if not self.scanned:
            self.hows = [MULTISTEP.get(how, how) for how in self.hows]
        self.shown = Squeezed(self.n, GROUPS) if self.n > GROUPS else everything
        self.strata = strata
        self.sizes = Sizes(np.ones(self.n), starts[0] == 0)

    def go(self, which: int, how: How, budget: int) -> Run:
        budget = min(budget, TOTAL - self.spent)
        shown = None if not self.scanned else _as_it_is if which == 0 else self.in_local_units
        found = run(
            self.equation,
            *how,
            self.starts[which],
            self.restarts[which],
            self.mesh,
            self.sizes,
            budget=budget,
            shown=shown,
        )
        self.spent += found.evaluations
        return found

    def in_local_units(self, local: Array, v: Array) -> Array:
        return self.shown(v / local)

    def guess(self) -> None:
        """Units from the start and from what the field adds at a few times, before anything was followed."""
        w, ts = self.starts[0], self.equation.ts
        t = ts[0] + (ts[-1] - ts[0]) * self.rng.random(8)
        with np.errstate(all="ignore"):
            rates = np.stack([self.equation.rate(float(one), w) for one in t])
        added = np.nan_to_num(np.abs(rates), posinf=0.0).mean(axis=0) * abs(float(ts[-1] - ts[0]))
        size = self.shared.largest(np.maximum(np.abs(w), np.where(np.isfinite(added), added, 0.0)))
        size = np.where(size > SMALLEST, size, 0.0)
        top = float(np.max(size, initial=0.0)) or 1.0
        self.sizes = Sizes(
            power_of_two(np.where(size > 0, np.maximum(size, 1e-12 * top), 1e-6 * top)), self.sizes.at_zero
        )

    def _paced(self, first: Run) -> float:
        """The mean length of explicit steps in time constants of its decay: beyond one or two stability limits it."""
        system, ts, lengths = self.equation.layered, self.equation.ts, list[float]()
        if system is None or not self.layered:
            return 0.0
        shares, (batch, d) = np.linspace(0.1, 0.9, 3), system.rows
        for k, steps in enumerate(first.steps):
            y = (steps.at(shares)[0] * self.sizes.unit)[:, : batch * d].reshape(-1, batch, d)
            slopes = system.sloped(ts[k] + shares * self.equation.length(k), y).first
            assert slopes is not None
            found: Array = np.linalg.eigvals(np.nan_to_num(slopes[..., 1 : 1 + d])).real
            lengths.append(float(np.max(-self.equation.length(k) * found)) / len(steps.left))
        return max(lengths)

    def _guess_stiff(self) -> None:
        """Units from the start and from where implicit steps lead: slopes at the start lead too far."""
        w, ts, system = self.starts[0], self.equation.ts, self.equation.layered
        assert system is not None
        h = np.array([1.0, 1e-3, 1e-6]) * float(ts[-1] - ts[0])
        try:
            with np.errstate(all="ignore"):
                led = np.abs(reach(system, np.repeat(ts[:1], 3), np.stack([w] * 3), h))
        except ValueError:  # of linear algebra that meets a matrix without an inverse
            return
        size = self.shared.largest(np.maximum(np.abs(w), np.nan_to_num(led, posinf=0.0).max(axis=0)))
        top = float(np.max(size, initial=0.0)) or 1.0
        self.sizes = Sizes(power_of_two(np.maximum(size, 1e-6 * top)), self.sizes.at_zero)

    def measure(self, scout: Run, least: float, most: Array | None = None) -> bool:
        """Sizes from a run; whether none is below this share of what it was taken for, or above its inverse."""
        window = float(np.abs(self.equation.ts[-1] - self.equation.ts[0]))
        grids, profiles, unit = list[Array](), list[Array](), self.sizes.unit
        for k, steps in enumerate(scout.steps):
            grid = grid_of(abs(self.equation.length(k)) / window)
            u, _ = steps.at(grid)
            grids.append(grid)
            profiles.append(self.shared.largest(self._sizes_on(k, grid, u, steps.where(grid)[2])))
        size = np.max(np.stack([p.max(axis=0) for p in profiles]), axis=0)
        if most is not None:
            size = np.maximum(size, self.shared.largest(most))
        if self.stiff and self.layered:  # what has decayed is not followed to its own last digit
            profiles = [np.maximum(p, FORGOTTEN * size) for p in profiles]
        factor = np.where(size > 0, power_of_two(size), 1.0)
        self.sizes = Sizes(unit * factor, self.sizes.at_zero, grids, [p / factor for p in profiles])
        for k in range(self.equation.segments):
            self.mesh.cut(k, self.sizes.cuts(k))
        return bool(np.all((factor > least) & (factor < 1 / least)))

    def _sizes_on(self, k: int, grid: Array, u: Array, h: Array) -> Array:
        """|u|, or the natural size where that is more; of what depends on a difference that cancels, by its size.

        A component that is nothing but round-off passes its natural size on to those that are made of it, and these to
        the next: otherwise they would be solved to digits of the round-off.
        """
        size = np.abs(np.nan_to_num(u))
        for _ in range(CHAIN):
            before, size = size, np.maximum(size, self._natural(k, grid, u, size, h))
            if not np.any(size.max(axis=0) > 2 * before.max(axis=0)):
                break
        return size

    def _natural(self, k: int, grid: Array, u: Array, size: Array, h: Array) -> Array:
        """A share of what adds up into each component within a step h, seen by moving its arguments by 1e-8."""
        t = self.equation.ts[k] + grid * self.equation.length(k)
        signs = self.rng.choice([-1e-8, 1e-8], size=u.shape)
        moved = t * (1 + self.rng.choice([-1e-8, 1e-8], size=len(t)))
        with np.errstate(all="ignore"):
            w = u * self.sizes.unit
            beside = w + signs * size * self.sizes.unit
            change = np.abs(self.equation.many(moved, beside) - self.equation.many(t, w)) / 1e-8
            length, system = self.equation.length(k), self.equation.layered
            if self.stiff and system is not None and self.layered:
                change = np.abs(forgotten(system, t, w, h * length, change))
            share = NATURAL * change * (abs(length) / self.sizes.unit) * h[:, None]
        return np.nan_to_num(share, posinf=0.0)

    def scout(self) -> None:
        """Find out the sizes, and whether the system is stiff."""
        self.guess()
        for attempt in range(4):
            how = self._stiff_how() if self.stiff else SCOUT
            try:
                first = self.go(0, how, SCOUT_BUDGET)
                if not self.stiff and first.evaluations > MANY and self._paced(first) > PACED:
                    first = self._stiff_scout(AT_ONCE * first.evaluations) or first
            except FlowError as short:
                first = self._stiff_scout(reached=short.reached) if not self.stiff else None
                if first is None:
                    first = self.go(0, how, TOTAL)
            if self.measure(first, SCOUTED) or attempt == 3:
                break
        if self.stiff:
            others = STIFF_LAYERED if self.layered else STIFF
            if self.layered and self.n <= MOST_SHOWN:
                self.shown = everything
            self.hows = [others.get(how, how) for how in self.hows]
            if self.equation.layered is not None and self.equation.layered.layers:
                self.hows = [STIFF_SECOND.get(how, how) for how in self.hows]

    @property
    def layered(self) -> bool:
        """Whether a stiff system can be followed by implicit steps of high order."""
        known = self.equation.layered
        return known is not None and is_small(known)

    def allowed(self, how: How) -> int:
        """Evaluations that a run of this way may take; a second opinion that takes more is refused soon."""
        return SECOND_BUDGET if how[0] == "BDF" else TOTAL

    def _stiff_how(self) -> How:
        return LAYERED_SCOUT if self.layered else STIFF_SCOUT

    def _stiff_scout(self, budget: int = SCOUT_BUDGET, reached: float = 1.0) -> Run | None:
        """A run by implicit steps, or None; longer than its budget where it gets much farther than the explicit one."""
        if self.layered:
            self._guess_stiff()
        try:
            found = self.go(0, self._stiff_how(), budget)
        except FlowError as short:
            if short.reached < FARTHER * reached:
                return None
            try:
                found = self.go(0, self._stiff_how(), TOTAL // 8)
            except FlowError:
                return None
        self.stiff = True
        return found


def everything(z: Array) -> Array:
    """All components, as they are."""
    return z


def _as_it_is(_local: Array, v: Array) -> Array:
    return v
