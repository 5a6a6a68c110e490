"""First derivatives of a problem of any size, with error bars: the adjoint with a quadrature, in two families.

Forward sensitivities (`flow`) carry batch · state · (state + params) numbers; where those are too many, this is the
way. Nothing has a column for each parameter, so time and memory are in proportion to states plus parameters.

The bar. DOP853 at three tolerances and Adams formulas at two give the whole answer, each along its own solution; their
distances are combined as those of `flow.spread` are. dL/dt are a few scalars that may agree by accident, so their bar
is also what the bars of y and a do to them. What all runs step over is looked for at a random time in each of many
strata: there the slopes of y and a, and the integrand of dL/dtheta in a few random directions, are compared with what
the steps say. What they do not explain is cut out, and all of it is done again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import process_time

import numpy as np

from . import by_adjoint, halved
from .bars import at_least, largest_mean
from .bends import is_bent
from .bounded import Array, Bounded
from .by_adjoint import NODES, Answer, nodes
from .fields.pulled import pulls
from .flat import Flat
from .flow import FlowError, spread, trajectories
from .halved import apart
from .jumps import refuse_along
from .looked import kept, note
from .path import OutOfBudget, Path
from .problem import Problem
from .scan import EXPLAINED, strata_for

# of the sharpest run; the two beside it are at ten and a hundred times that, as those of the other family are
SHARP = 1e-12
# random directions in which the integrand of dL/dtheta is looked at, and draws of random signs
DIRECTIONS, SIGNS = 4, 16
# rounds of cutting, pieces that what was seen is cut into, and the most strata
ROUNDS, INSIDE, MOST_STRATA = 5, 16, 1024


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """First derivatives of a loss with their bars.

    Attributes:
        y0: dL/dy0, (batch, state).
        theta: dL/dtheta, (params,).
        ts: dL/dts, (times,).
        adjoints: dL/dy at each time, the observation there counted, (times, batch, state).
    """

    y0: Bounded
    theta: Bounded
    ts: Bounded
    adjoints: Bounded


@kept(32)
def first_order(problem: Problem, rtol: float = SHARP) -> FirstOrder:
    """The first derivatives of a problem's loss by the adjoint.

    Args:
        problem: what is asked about; without an integral term, see `sensitivity.with_cost_as_state`.
        rtol: relative tolerance of the sharpest run.

    Returns:
        All of them, with their bars.

    Raises:
        FlowError: the solution does not reach the last time, the budget is spent, or the field is not what its
            solution says.
    """
    before = trajectories(problem, 0)[0]  # scanned, or refused where the field jumps
    if is_bent(problem):
        return _by_halved_steps(problem)
    assert before.mesh is not None and before.seen is not None
    cuts = [
        (float(problem.ts[k] + x * (problem.ts[k + 1] - problem.ts[k])))
        for k, own in enumerate(before.mesh.cuts)
        for x in own
        if 0 < x < 1
    ]
    breaks = {*problem.breaks, *cuts}
    try:
        for _ in range(ROUNDS):
            f = Flat(problem, tuple(sorted(breaks)))
            sharp = by_adjoint.dop853(f, f.cotangents, rtol=rtol)
            looked_at, found = _look(f, sharp, rtol)
            if not found:
                return _bounded(problem, f, _runs(f, sharp, rtol), max(looked_at, before.seen.looked_at), spread)
            breaks |= found
    except OutOfBudget as reason:
        raise FlowError(
            f"problem {problem.name!r}: the adjoint cannot be followed ({reason}). Usual cause: a stiff field, or a "
            "solution that ends on the way. Shorten the times, or take fewer parameters: a small stiff field is "
            "followed by implicit methods."
        ) from reason
    raise FlowError(
        f"problem {problem.name!r}: the derivatives of the field are not what their integrals say, after {ROUNDS} "
        "rounds of cuts. Usual cause: a jump or a kink that is met again and again, or noise in the field. Declare the "
        "times of its jumps as breaks, or shorten the times."
    )


def _by_halved_steps(problem: Problem) -> FirstOrder:
    """The same of a field that bends often: to first order in the steps."""
    f = Flat(problem, problem.breaks)

    def enough(runs: Sequence[Answer]) -> bool:
        of = ([run.y0 for run in runs], [run.theta.get("theta") for run in runs], [run.t for run in runs])
        each = [[x for x in values if x is not None] for values in of]
        return all(apart(x) <= halved.AIM * float(np.max(np.abs(x[0]), initial=0.0)) for x in each if x)

    try:
        runs, longest = halved.halved(f, enough, slopes=True)
        return _bounded(problem, f, runs, longest, lambda x: Bounded(x[0], {halved.TERM: apart(x)}), sways=False)
    except OutOfBudget as reason:
        raise halved.no_answer(problem, reason) from reason


def _runs(f: Flat, sharp: Answer, rtol: float) -> list[Answer]:
    assert sharp.along is not None
    nearby, farther = (by_adjoint.dop853(f, f.cotangents, rtol=at) for at in (10 * rtol, 100 * rtol))
    others = (by_adjoint.adams(f, f.cotangents, sharp.along, rtol=at) for at in (10 * rtol, 100 * rtol))
    return [sharp, nearby, farther, *others]


def _bounded(
    problem: Problem,
    f: Flat,
    runs: Sequence[Answer],
    looked_at: float,
    combined: Callable[[list[Array]], Bounded],
    *,
    sways: bool = True,
) -> FirstOrder:
    """The quantities of some runs, `combined`; sways: whether bars of y and a widen that of dL/dt, or it is doubled."""
    note(looked_at)

    def part(of: Callable[[Answer], Array | None], shape: tuple[int, ...]) -> Bounded:
        seen = combined([x.reshape(shape) for run in runs if (x := of(run)) is not None])
        return Bounded(seen.value, seen.budget, looked_at=looked_at)

    shape, n = problem.y0.shape, problem.field.params
    y0 = part(lambda run: run.y0, shape)
    adjoints = part(lambda run: run.adjoints, problem.observations)
    states = part(lambda run: run.solution, problem.observations)
    ts = part(lambda run: run.t, (len(problem.ts),))
    theta = part(lambda run: run.theta.get("theta", np.zeros(0)), (n,))
    swayed, rounded = _in_time(f, states, y0)
    ts = at_least(ts, swayed if sways else 2 * float(np.max(ts.radius)))
    return FirstOrder(
        y0, theta, Bounded(ts.value, {**ts.budget, "roundoff of the field": rounded}, looked_at=looked_at), adjoints
    )


def _in_time(f: Flat, states: Bounded, a: Bounded) -> tuple[float, float]:
    """What the bars of y and a do to dL/dt, root mean square; and what the round-off of F does to it."""
    rng, times = np.random.default_rng(0), f.times
    w = f.cotangents(states.value.reshape(len(times), -1))

    def slopes(y: Array, a0: Array, t: Array) -> Array:
        given = f.cotangents(y.reshape(len(times), -1))
        rates = [f.f(float(s), one) for s, one in zip(t, y.reshape(len(times), -1), strict=True)]
        return np.array([-(a0.ravel() @ rates[0]), *(g @ rate for g, rate in zip(given[1:], rates[1:], strict=True))])

    exact = slopes(states.value, a.value, times)
    moved = list[Array]()
    for _ in range(SIGNS):
        sign = rng.choice([-1.0, 1.0], size=states.value.shape)
        sign[0] = 0.0
        change = a.radius * rng.choice([-1.0, 1.0], size=a.value.shape)
        moved.append(slopes(states.value + sign * states.radius, a.value + change, times) - exact)
    swayed = largest_mean(np.stack(moved), 0)
    # F may be a small difference of large terms: what its arguments do to it when they move in their eighth digit
    rates = list[float]()
    eps = float(np.finfo(np.float64).eps)
    for i, (s, y) in enumerate(zip(times, states.value.reshape(len(times), -1), strict=True)):
        weight = np.abs(a.value.ravel() if i == 0 else w[i])
        sign = rng.choice([-1.0, 1.0], size=y.shape)
        change = np.abs(f.f(float(s) * (1 + 1e-8), y * (1 + 1e-8 * sign)) - f.f(float(s), y)) / 1e-8
        rates.append(float(weight @ (change + np.abs(f.f(float(s), y)))))
    return swayed, 32 * eps * max(rates)


def _look(f: Flat, sharp: Answer, rtol: float) -> tuple[float, set[float]]:
    """How narrow a feature was certainly looked at, and the ends of the strata that show one."""
    begun = process_time()
    assert sharp.along is not None and sharp.y0 is not None
    f.pulled(float(f.times[0]), f.start, sharp.y0)
    own = pulls(f.problem.field) or f.problem.field.params < 100
    strata = min(strata_for(2 * len(f.start), process_time() - begun), MOST_STRATA) if own else 0
    length, rng = abs(float(f.times[-1] - f.times[0])), np.random.default_rng(1)
    directions = [rng.choice([-1.0, 1.0], size=f.problem.field.params) for _ in range(DIRECTIONS)]
    total = [0.0] * DIRECTIONS
    times, rates = list[float](), list[Array]()
    seen = list[tuple[float, float, Array]]()
    for stretch in sharp.back:
        panels = list(stretch.panels)
        known = [_Panel(f, sharp.along, stretch, directions, lo, hi) for lo, hi in panels]
        start, end = panels[0][0], panels[-1][1]
        edges = np.linspace(start, end, max(int(strata * abs(end - start) / length), 16) + 1)
        starts = np.array([abs(lo - start) for lo, _ in panels])
        for lo, hi in itertools.pairwise(edges):
            s = float(lo + (hi - lo) * rng.random())
            panel = known[int(np.searchsorted(starts, abs(s - start), "right")) - 1]
            rate, defects = panel.defects(s)
            times.append(s)
            rates.append(rate)
            seen.append((float(lo), float(hi), defects * abs(panel.hi - panel.lo)))
        total = [x + sum(panel.sizes[i] for panel in known) for i, x in enumerate(total)]
    _refuse_jumps_along_the_way(f, sharp.along, np.array(times), np.stack(rates))
    sizes = np.array([np.abs(sharp.solution).max(), np.abs(_adjoints(sharp)).max(), *total])
    limit = rtol**EXPLAINED * np.where(sizes > 0, sizes, 1.0)
    bad = sorted(
        (max(min(lo, hi), min(f.times)), min(max(lo, hi), max(f.times)))
        for lo, hi, defect in seen
        if not (defect <= limit).all()
    )
    return (2 * length / strata if strata else np.inf), _cuts(bad)


def _refuse_jumps_along_the_way(f: Flat, y: Path, times: Array, rates: Array) -> None:
    """Raises FlowError where the field jumps because the state crosses a place: see `follow`."""
    order = np.argsort(times)
    refuse_along(f.problem.name, times[order], rates[order], lambda t, at: f.f(t, y(at)), lambda t: t)


def _cuts(bad: list[tuple[float, float]]) -> set[float]:
    """Ends of what was not explained, neighbours joined, and points inside: what is narrow takes panels of its own."""
    zones = list[list[float]]()
    for lo, hi in bad:
        if zones and lo <= zones[-1][1] + (hi - lo):
            zones[-1][1] = hi
        else:
            zones.append([lo - (hi - lo), hi])
    return {float(x) for lo, hi in zones for x in np.linspace(lo, hi + (hi - lo) / INSIDE, INSIDE + 1)}


def _adjoints(sharp: Answer) -> Array:
    assert sharp.adjoints is not None
    return sharp.adjoints


class _Panel:
    """One step of the adjoint: what is known of y, a and the integrand of dL/dtheta from the solver and its nodes."""

    def __init__(self, f: Flat, along: Path, back: Path, directions: list[Array], lo: float, hi: float) -> None:
        self.f, self.along, self.back, self.directions, self.lo, self.hi = f, along, back, directions, lo, hi
        self.at = [s for s, _ in nodes(lo, hi)]
        pulled = [self._integrand(s) for s in self.at]
        self.values = np.stack(pulled)  # (nodes, directions)
        self.sizes = np.abs(self.values).mean(axis=0) * abs(hi - lo)

    def _integrand(self, s: float) -> Array:
        theta = self.f.pulled(s, self.along(s), self.back(s)).theta
        return np.array([one @ theta for one in self.directions])

    def defects(self, s: float) -> tuple[Array, Array]:
        """F; and |y' − F|, |a' + aᵀF_y| in the largest component, the integrand beside its polynomial: at one time."""
        y, a = self.along(s), self.back(s)
        got = self.f.pulled(s, y, a)
        dy = _slope(self.along, s, self.hi - self.lo) - got.value.ravel()
        da = _slope(self.back, s, self.hi - self.lo) + got.y.ravel()
        integrand = np.array([one @ got.theta for one in self.directions])
        polynomial = _lagrange(self.at, s) @ self.values
        off = np.array([np.abs(dy).max(), np.abs(da).max(), *np.abs(integrand - polynomial)])
        return got.value.ravel(), off


def _slope(of: Path, s: float, width: float) -> Array:
    """The slope of an interpolant, by a central difference well inside of a step."""
    h = 1e-4 * width
    return (of(s + h) - of(s - h)) / (2 * h)


def _lagrange(at: list[float], s: float) -> Array:
    """The Lagrange polynomials of NODES points at s."""
    x = np.array(at)
    others: list[Array] = [x[np.arange(NODES) != i] for i in range(NODES)]
    return np.array([float(np.prod((s - rest) / (own - rest))) for own, rest in zip(at, others, strict=True)])
