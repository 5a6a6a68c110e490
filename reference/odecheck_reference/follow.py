"""A system followed by several runs that may step over nothing: scanned, cut where something was seen, done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import numpy as np

from .bounded import Array
from .dense import Mask, Run
from .jumps import jumps, refuse_along
from .kinks import kinks
from .mesh import Mesh
from .scan import FEWEST_AGAIN, FEWEST_STRATA, Integrals, Samples, drawn, rates, strata_for, unexplained
from .scout import HELD, TOTAL, How, Places, Scout, everything
from .sizes import Shared
from .stepping import Equation, FlowError, Restart

# rounds of cutting, and cuts
ROUNDS, MOST_CUTS = 9, 600
# What lies beside a cut and is seen by the first stage of a step alone: DOP853 is off by b1 h f = 0.0543 h f there, and
# estimates E5² / √(E5² + E3² / 100) h f = 0.00745 h f (E5 = 0.0131, E3 = −0.190; Hairer, Nørsett & Wanner I, II.10).
# That is 7.3 times what it accepts: the tolerance, and a tenth of that of what is at most CHANGE = 16 times as large.
BESIDE = 20
# the rounds in which kinks are looked for: to end at them is better, not to is no reason to refuse
KINKS = 4


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


@dataclass(frozen=True, eq=False)
class Followed:
    """What came of following an equation.

    values: at all times, one (times, n) for each way. seen: what was seen. mesh: where the ways ended. stiff: whether
    they went by implicit steps.
    """

    values: tuple[Array, ...]
    seen: Seen
    mesh: Mesh
    stiff: bool = False


class _Follower(Scout):
    def follow(self) -> Followed:
        # by segment and place what all runs may be off by in the short piece with a kink, (n,): there they end at the
        # same places, and the change of the rates times its length is below what makes a step of theirs shorter; of the
        # size that w has there, as it may grow afterwards
        self.stepped_over: dict[tuple[int, float, float], Array] = {}
        if not self.scanned:
            return self._unseen()
        self.scout()
        left: list[str] = []
        for again in range(ROUNDS):
            sharp = self.go(0, self.hows[0], TOTAL)
            if self._jumps(sharp):
                left = ["jumps"]
                continue
            looks = [self._look(sharp, k) for k in range(self.equation.segments)]
            samples = [look[0] for look in looks]
            found, defect = self._examine(sharp, samples, self.hows[0][1], sharp=True)
            most = np.max(np.stack([look[2] for look in looks]), axis=0)
            if not self._sizes_hold(sharp, most):
                left = ["sizes", *(self._cut(samples[k], bad) for k, bad in found.items())]
                continue
            if not found and again < KINKS and self._kinks(sharp, samples):
                continue
            others = list[Run]()
            if not found:
                if self.n > self.equation.leading:
                    for one in samples:
                        self._refuse_jumps_along_the_way(sharp, one)
                others = [self.go(i, how, self.allowed(how)) for i, how in enumerate(self.hows) if i > 0]
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

    def _kinks(self, sharp: Run, samples: list[Samples]) -> bool:
        """Whether steps went over kinks that the integrations did not end at; now they do."""
        met = False
        for one in samples:
            if one.forget is not None:
                continue
            along_the_way, unit = self._along(sharp, one.k), self.sizes.unit

            def rate(x: float, of: Callable[[float, float], Array] = along_the_way) -> Array:
                return of(x, x)

            defect = np.max(np.abs(one.slope - one.rate), axis=1)
            for before, after in kinks(sharp.steps[one.k], one.x, defect, self.hows[0][1], rate):
                over = (after - before) * np.abs(rate(after) - rate(before)) / self.sizes.local(one.k, before, after)
                self.stepped_over[one.k, before, after] = over * unit
                met = met or not any(before <= cut <= after for cut in self.mesh.cuts[one.k])
                self.mesh.cut(one.k, (before, after))
        return met

    def _along(self, sharp: Run, k: int) -> Callable[[float, float], Array]:
        """rate(x, at): the rates at time x and the sharp run's state at time `at`, in the segment's units."""
        unit, start, length = self.sizes.unit, float(self.equation.ts[k]), self.equation.length(k)

        def rate(x: float, at: float) -> Array:
            w = sharp.steps[k].at(np.array([at]))[0][0] * unit
            return self.equation.rate(start + x * length, w) * (length / unit)

        return rate

    def _refuse_jumps_along_the_way(self, sharp: Run, one: Samples) -> None:
        """Raises FlowError where rates jump because the state crosses a place: derivatives are not followed there."""
        k, first, rate = one.k, self.equation.leading, self._along(sharp, one.k)
        start, length = float(self.equation.ts[k]), self.equation.length(k)
        refuse_along(
            self.equation.name,
            one.x,
            one.rate[:, :first] * one.local[:, :first],
            lambda x, at: rate(x, at)[:first],
            lambda x: start + x * length,
            lambda x: rates(self.equation, self.sizes, k, x, sharp.steps[k].at(x)[0])[:, :first],
        )

    def _look(self, sharp: Run, k: int) -> tuple[Samples, Array, Array]:
        grid, first = np.linspace(0, 1, 1025), self.equation.state
        marks = self.places(k, grid, sharp.steps[k].at(grid, first)[0] * self.sizes.unit[:first])
        return drawn(
            self.equation,
            sharp,
            self.mesh,
            self.sizes,
            k,
            self.strata,
            marks,
            self.rng,
            stiff=self.stiff,
            shown=self.shown,
        )

    def _examine(
        self, which: Run, samples: list[Samples], tolerance: float, *, sharp: bool
    ) -> tuple[dict[int, Mask], Array]:
        """What is not explained, by segment, and the integral of the defect."""
        found, defect = dict[int, Mask](), np.zeros(self.n)
        for one in samples:
            own = partial(self._own, one) if self.shown is everything else None
            bad, signed = unexplained(which, one, tolerance, sharp=sharp, own=own)
            if sharp:
                defect += signed
            if bad.any():
                found[one.k] = bad
        return found, defect

    def _own(self, samples: Samples, which: Mask, z: Array) -> Array:
        local = samples.local[which]
        return rates(self.equation, self.sizes, samples.k, samples.x[which], z * local) / local

    def _sizes_hold(self, sharp: Run, most: Array) -> bool:
        """Whether every component is of about the size it was taken for; else it is measured anew."""
        before, cuts = self.sizes, [set(one) for one in self.mesh.cuts]
        if self.measure(sharp, HELD, most):
            self.sizes, self.mesh.cuts = before, cuts  # those that the runs were made with
            return True
        return False

    def _cut(self, samples: Samples, bad: Mask) -> str:
        self.mesh.zoom(samples.k, samples.lo[bad], samples.hi[bad])
        at = float(self.equation.ts[samples.k]) + float(samples.x[bad][0]) * self.equation.length(samples.k)
        return f"{np.count_nonzero(bad)} places, the first at t = {at:.8g}"

    def _bound(self, runs: list[Run], integrals: Integrals) -> Followed:
        unit = self.sizes.unit
        window = abs(float(self.equation.ts[-1] - self.equation.ts[0]))
        jumps = np.max(np.stack([one.jumps for one in runs]), axis=0)
        # all runs end at the same cuts, and all of them step over what lies beside a cut and is below their tolerance
        beside = BESIDE * self.hows[0][1] if any(self.mesh.zoomed) else 0.0
        over = sum(np.minimum(most, BESIDE * self.hows[0][1] * unit) for most in self.stepped_over.values())
        seen = Seen(
            integrals.grain * unit,
            (integrals.defect + beside) * unit + over,
            jumps,
            2 * window / self.strata,
            self.mesh.count,
            self.spent,
        )
        return Followed(tuple(one.w for one in runs), seen, self.mesh, self.stiff)

    def _unseen(self) -> Followed:
        """A system too large for a scan: followed as it is, and it says that nothing was looked at."""
        self.guess()
        runs = [self.go(i, how, TOTAL) for i, how in enumerate(self.hows)]
        nothing = np.zeros(self.n)
        seen = Seen(nothing, nothing, nothing, np.inf, 0, self.spent)
        return Followed(tuple(one.w for one in runs), seen, self.mesh)

    def _gave_up(self, left: list[str]) -> FlowError:
        return FlowError(
            f"problem {self.equation.name!r}: the field is not what its solution says at {'; '.join(left)}, after "
            f"{self.mesh.count} cuts. Usual cause: a jump, a kink or a spike that is met again and again, or noise in "
            "the field. Declare the times of its jumps as breaks, or shorten the times."
        )


def follow(
    equation: Equation,
    starts: Sequence[Array],
    hows: Sequence[How],
    *,
    breaks: Sequence[float] = (),
    restarts: Sequence[Restart | None] | None = None,
    places: Places | None = None,
    seconds: float = 0.0,
    shared: Shared | None = None,
    before: Mesh | None = None,
    stiff: bool = False,
) -> Followed:
    """Follow an equation in each of several ways, with whatever is narrow looked at, or refuse.

    Args:
        equation: what is solved.
        starts: w at ts[0], one for each way.
        hows: (solver, tolerance) of each way; the first is the sharpest, and the one whose value counts.
        breaks: times at which all integrations end.
        restarts: for each way, what happens to w at an observation; None for nothing.
        places: where to look closer than anywhere, see `Places`.
        seconds: CPU time of one evaluation, where they cannot be had together; 0 where they can.
        shared: which components share one size; None for none.
        stiff: whether it is known to be stiff.
        before: where a part of the equation was found to need an end; it was scanned, the rest is in fewer strata.

    Returns:
        The values at all times by every way, and what was seen.

    Raises:
        FlowError: the budget is spent, the solution ends, or something was seen that cutting does not resolve.
    """
    follower = _Follower(
        equation,
        starts,
        restarts or [None] * len(hows),
        hows,
        deepcopy(before) or Mesh(equation.ts, breaks),
        places or _nowhere,
        strata_for(len(starts[0]), seconds, FEWEST_AGAIN if before else FEWEST_STRATA),
        shared or Shared(None),
    )
    follower.stiff = stiff
    return follower.follow()


def _nowhere(_k: int, _grid: Array, _w: Array) -> Array:
    return np.zeros(0)
