"""The exact flow and its derivatives, with error bars: forward variational equations on scipy's integrators.

With zeta = (y0 of one row, theta), P = state + params, along y' = F(t, y, theta):

    S  = dy/dzeta       S'  = F_y S + [0  F_theta]
    S2 = d2y/dzeta2     S2' = F_y S2 + F_zz[Z, Z],   Z = d(y, theta)/dzeta = [S; 0 I]

(Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I, section I.14.)

The bar. Two solver families, explicit Runge–Kutta of order 8 at three tolerances and implicit multistep
(Adams–Moulton/BDF) at two; where explicit steps are much dearer, implicit ones take their place (`radau13`), and BDF,
another formula in scipy's code, is the second family. The value is that of the sharpest run. Its truncation error is
bounded by three times the distance to the run at ten times its tolerance, or a tenth of that to the run at a hundred
times: errors in proportion to the tolerance make the two alike, and a single component may agree with one of them by
accident, hardly with both. If the farther run is more than thirty times as far as the nearer one, errors are not in
proportion, and nothing is divided by ten. The other family vouches for the first: a distance between the two families
that the second family's own spread does not explain becomes a term of the bar. All distances are taken in the largest
component of a quantity, so that a component which happens to agree has no smaller bar than its neighbours.

Derivatives of a stiff field are vouched for at a tolerance of 1e-8 only, so to about 1e-7 of their size. What a fault
of our own implicit steps does below that is seen by their defect alone, which asks the field and no coefficient of a
method. All families share the field's derivatives and the equations made of them, `Variational.rates`: a wrong sign or
a missing term there would be common to them. Tests hold these against closed forms, and claims against the adjoint.

What all runs step over, no distance tells. So every run is scanned (`scan`): its defect is looked at in many strata,
what a step does not explain is cut out, and all of it is done again (`follow`). Every result says how narrow a feature
was certainly looked at: `Bounded.looked_at`. Second derivatives are followed between the cuts that the first ones were
found to need, and looked at in fewer strata: what is narrow in the field and its first derivatives is cut out already.

A quantity made of the flow, above all a scalar such as a loss, may agree between two runs by accident, or be a small
difference of large numbers. Therefore its bar is at least what the bars of the flow and its derivatives do to it: the
root mean square of its change when all their components move by their bars, with random signs. As these bars are three
times an observed distance, that is three standard deviations of what the errors behind them do to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from . import halved
from .bars import at_least, largest_mean
from .bends import is_bent
from .bounded import Array, Bounded
from .by_adjoint import Answer
from .flat import Flat
from .follow import Followed, Seen, follow
from .layered import Layered
from .looked import kept, looked_at, note, with_seen
from .mesh import Mesh
from .path import OutOfBudget
from .places import marks, numbers
from .problem import Problem
from .sizes import Shared
from .stepping import Equation, FlowError, Restart
from .variational import Variational

__all__ = ["FlowError", "Trajectory", "bounded", "solution", "solve", "trajectories", "transition"]

SHARP = ("DOP853", 1e-13)
NEARBY = ("DOP853", 1e-12)
FARTHER = ("DOP853", 1e-11)
OTHER = ("LSODA", 1e-11)
OTHER_NEARBY = ("LSODA", 1e-10)
RUNS = (SHARP, NEARBY, FARTHER, OTHER, OTHER_NEARBY)
# the farther run is so many times as far away as the nearer one at most, if errors go down with the tolerance
IN_PROPORTION = 30
# Draws of random signs for `moved`: the root mean square of 16 normal numbers is below a third of their standard
# deviation once in 200,000 times, P(chi-square with 16 degrees of freedom < 16/9).
SIGNS = 16


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One run: y (times, batch, state), S (times, batch, state, P), S2 (times, batch, state, P, P).

    Of the sharpest run alone: seen, what the scan says; beyond, terms of the bar that no distance between runs shows,
    in the same blocks; mesh, where the integrations ended; stiff,
    whether implicit steps were by far the cheaper ones.
    """

    y: Array
    first: Array | None = None
    second: Array | None = None
    seen: Seen | None = None
    beyond: tuple[Array, ...] = ()
    mesh: Mesh | None = None
    stiff: bool = False

    @property
    def blocks(self) -> list[Array]:
        return [b for b in (self.y, self.first, self.second) if b is not None]


def solve(problem: Problem, order: int, method: str, tolerance: float) -> Trajectory:
    """Solve the variational equations up to `order` (0, 1 or 2), stepping onto every observation time.

    Raises FlowError when the solver fails, the state leaves the finite numbers or the budget is spent.
    """
    return _solved(problem, order, ((method, tolerance),))[0]


def _solved(problem: Problem, order: int, runs: tuple[tuple[str, float], ...]) -> tuple[Trajectory, ...]:
    system = Variational(problem.field, problem.theta, problem.batch, order)
    start = system.start(problem.y0)
    ends = problem.ts[[0, -1]]
    within = np.concatenate([ends, ends[0] + (ends[1] - ends[0]) * np.random.default_rng(0).random(6)])
    seconds = system.seconds(within, problem.y0)
    shared = Shared(system.groups())
    before = trajectories(problem, 1)[0] if order == 2 and runs == RUNS else None
    found = followed(
        problem,
        system,
        system.many,
        [start] * len(runs),
        runs,
        seconds=seconds,
        shared=shared,
        before=None if before is None else before.mesh,
        leading=system.places[order].start if order else None,
        layered=system if system.has_slopes else None,
        stiff=before is not None and before.stiff,
    )
    beyond = found.seen.grain + found.seen.defect + found.seen.jumps
    sharp, *others = (_trajectory(system.blocks(values)) for values in found.values)
    sharp = replace(sharp, seen=found.seen, beyond=tuple(system.blocks(beyond)), mesh=found.mesh, stiff=found.stiff)
    return (sharp, *others)


def _trajectory(blocks: list[Array]) -> Trajectory:
    first, second = (blocks[1] if blocks[1:] else None), (blocks[2] if blocks[2:] else None)
    return Trajectory(blocks[0], first, second)


def followed(
    problem: Problem,
    rate: Callable[[float, Array], Array],
    many: Callable[[Array, Array], Array],
    starts: list[Array],
    runs: tuple[tuple[str, float], ...] = RUNS,
    *,
    restarts: list[Restart | None] | None = None,
    backwards: bool = False,
    seconds: float = 0.0,
    shared: Shared | None = None,
    before: Mesh | None = None,
    leading: int | None = None,
    layered: Layered | None = None,
    stiff: bool = False,
) -> Followed:
    """Follow w, of which the problem's own state is the first part, over all times of the problem.

    leading: how many components the last ones are derivatives of, by default the state.
    layered: how w is made of layers, where a stiff system shall be followed by implicit steps of high order.
    stiff: whether that is known beforehand.
    backwards: from the last time to the first; starts, restarts and values are in the order of the way.
    """
    ts = problem.ts[::-1] if backwards else problem.ts
    known = numbers(problem.field, problem.theta)

    def places(k: int, grid: Array, w: Array) -> Array:
        return marks(known, ts, k, grid, w)

    equation = Equation(problem.name, ts, rate, many, problem.y0.size, leading or problem.y0.size, layered)
    return follow(
        equation,
        starts,
        runs,
        breaks=problem.breaks,
        restarts=restarts,
        places=places,
        seconds=seconds,
        shared=shared,
        before=before,
        stiff=stiff,
    )


@kept(128)
def trajectories(problem: Problem, order: int) -> tuple[Trajectory, ...]:
    """The runs of `RUNS`; kept, because many claims ask for the same problem."""
    runs = _by_halved_steps(problem) if order == 0 and is_bent(problem) else _solved(problem, order, RUNS)
    note(None if runs[0].seen is None else runs[0].seen.looked_at)
    return runs


def _by_halved_steps(problem: Problem) -> tuple[Trajectory, ...]:
    """The runs of a field that bends often, in the order of `RUNS`."""
    f = Flat(problem, problem.breaks)

    def enough(runs: Sequence[Answer]) -> bool:
        y = [run.solution for run in runs]
        return halved.apart(y) <= halved.AIM_OF_STATES * float(np.max(np.abs(y[0])))

    try:
        answers, longest = halved.halved(f, enough, slopes=False)
        halved.refuse_jumps(f)
    except OutOfBudget as reason:
        raise halved.no_answer(problem, reason) from reason
    values, nothing = [one.solution for one in answers], np.zeros(problem.y0.size)
    off = np.full(problem.y0.size, halved.apart(values))
    seen = Seen(nothing, off, nothing, longest, 0, f.spent)
    sharp, *others = (Trajectory(y.reshape(problem.observations)) for y in values)
    return (replace(sharp, seen=seen, beyond=(off.reshape(problem.y0.shape),)), *others)


def spread(values: list[Array]) -> Bounded:
    """Combine the same quantity from the runs of `RUNS` into a value with its bar; see the module's docstring."""
    sharp, nearby, farther, other, other_nearby = values
    if not all(np.isfinite(value).all() for value in values):
        raise FlowError(
            "a derivative of the flow is not a finite number. Usual cause: a root or a power at 0, whose slope is "
            "infinite there. Ask for what needs one derivative less, or start beside that place."
        )

    def distance(a: Array, b: Array) -> float:
        return float(np.max(np.abs(a - b), initial=0.0))

    near, far = distance(sharp, nearby), distance(sharp, farther)
    truncation = 3 * (max(near, far / 10) if far <= IN_PROPORTION * near else far)
    apart, explained = distance(sharp, other), 3 * distance(other, other_nearby)
    disagree = apart + explained if apart > explained + truncation else 0.0  # then nobody knows which of them is right
    # a sum of s step increments, each rounded, at the scale of the largest component
    roundoff = 32 * np.finfo(np.float64).eps * float(np.max(np.abs(sharp), initial=0.0))
    return Bounded(sharp, {"truncation": truncation, "families disagree": disagree, "roundoff": roundoff})


@kept(128)
def moved(problem: Problem, order: int) -> tuple[Trajectory, ...]:
    """The sharpest run with every component moved by its bar, up or down at random; the start is known and stays."""
    rng = np.random.default_rng(0)
    runs = trajectories(problem, order)
    blocks, d = runs[0].blocks, problem.field.state
    radii = [_radii([run.blocks[k] for run in runs], beyond, d) for k, beyond in enumerate(runs[0].beyond)]

    def signs(block: Array) -> Array:
        sign = rng.choice([-1.0, 1.0], size=block.shape)
        sign[0] = 0.0
        return sign

    return tuple(_trajectory([b + r * signs(b) for b, r in zip(blocks, radii, strict=True)]) for _ in range(SIGNS))


def _radii(block: list[Array], beyond: Array, d: int) -> Array:
    """The bar of each part of a block: derivatives in y0 and in theta, and mixed ones, have scales of their own."""
    radius = np.zeros_like(block[0])
    axes = block[0].ndim - 3
    for corner in product((slice(0, d), slice(d, None)), repeat=axes):
        where = (..., *corner)
        radius[where] = spread([b[where] for b in block]).radius + np.max(beyond[where], initial=0.0)
    return radius


def bounded(problem: Problem, order: int, quantity: Callable[[Trajectory], Array]) -> Bounded:
    """Any quantity of the flow and its first `order` derivatives, with its bar."""
    runs = trajectories(problem, order)
    seen = spread([np.asarray(quantity(run), dtype=np.float64) for run in runs])
    changes = np.stack([quantity(run) - seen.value for run in moved(problem, order)])
    return looked_at(at_least(seen, largest_mean(changes, 0)), runs[0].seen)


def solution(problem: Problem) -> Bounded:
    """y at all times: (times, batch, state)."""
    runs = trajectories(problem, 0)
    return with_seen(spread([run.y for run in runs]), runs[0].seen, lambda term: term)


def transition(problem: Problem) -> Bounded:
    """State-transition matrix dy(ts[i])/dy(ts[0]) of every row: (times, batch, state, state)."""
    d, runs = problem.field.state, trajectories(problem, 1)

    def block(run: Trajectory) -> Array:
        assert run.first is not None
        return run.first[..., :d]

    def sensitivities(term: Array) -> Array:
        size = problem.y0.size
        return term[size : size * (1 + problem.field.state + problem.field.params)].reshape(size, -1)[:, :d]

    return with_seen(spread([block(run) for run in runs]), runs[0].seen, sensitivities)
