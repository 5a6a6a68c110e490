"""Answers of a field that bends often (`bends`), by steps that are halved: two families that share the field alone.

- Classical Runge-Kutta and the exact derivative of these very steps, pulled back stage by stage.
- Kutta's formula of third order, the adjoint a' = −F_yᵀ a by the same formula backwards along the cubic Hermite
  polynomials of that solution, and dL/dtheta = ∫ aᵀ F_theta dt by Simpson's rule.

No step ends on a bend. A step of length h over one is off by h² J in the state, J the jump of the slope of y', and by
h ΔF_y in a derivative, with a sign and size that hang on where in the step the bend is. The ends of steps are moved at
random, in each mesh in another way, so that no place between them is stepped over by all, and these errors are as good
as independent: the distance of two meshes is a measure of the error of the coarser one.

Sources: Kutta 1901; Hairer, Nørsett & Wanner I, section II.1; for the derivative of the steps Hager 2000.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from .bounded import Array
from .by_adjoint import Answer, carried_back
from .flat import Flat
from .jumps import refuse, refuse_along
from .kinks import kink_in
from .path import OutOfBudget, path
from .problem import Problem
from .stepping import FlowError

# of the steps that lengths are taken from
ROUGH = 1e-3
# by how much of a step its ends are moved
MOVED = 0.25
# how far apart answers may be, of their largest component: of the solution, and of first derivatives
AIM_OF_STATES, AIM = 2e-5, 2e-2
# the term of a bar
TERM = "steps over bends"
# places that are looked at for jumps; what is no bend so near to a place, in units of two steps, and of the rates
LARGEST, ASIDE, NO_BEND = 12, 1e-8, 1e-5
# steps of the finest mesh to begin with, and at most; and numbers of a solution that are held
FEWEST, MOST, HELD = 256, 8192, 2**26


def halved(f: Flat, enough: Callable[[Sequence[Answer]], bool], *, slopes: bool) -> tuple[list[Answer], float]:
    """Answers on finer and finer meshes, until they are near enough to each other.

    Args:
        f: the field.
        enough: of five answers, in the order of `flow.RUNS`: the finest, that on half the steps and that on a quarter,
            and of the other family the finest and that on half the steps.
        slopes: whether derivatives are wanted, beside the solution.

    Returns:
        The five, and the longest step of the finest mesh.

    Raises:
        OutOfBudget: a value was not finite, or the budget was used up before there were five.
    """
    ends = _ends(f)
    known = dict[tuple[bool, int], Answer]()

    def run(number: int, *, other: bool = False) -> Answer:
        if (other, number) not in known:
            mesh = _mesh(ends, f, number, seed=2 * number + other)
            known[other, number] = (kutta if other else runge_kutta)(f, mesh, slopes=slopes)
        return known[other, number]

    number = FEWEST
    while True:
        best = [run(number), run(number // 2), run(number // 4)]
        best += [run(number, other=True), run(number // 2, other=True)]
        finer = 2 * number
        if enough(best) or finer > MOST or finer * len(f.start) > HELD or not _affordable(f):
            break
        number = finer
    longest = float(np.max(np.abs(np.diff(_mesh(ends, f, number, seed=2 * number)))))
    return best, longest


def apart(values: Sequence[Array]) -> float:
    """Twice the largest distance from the first of some answers to any other: what it is off by at most.

    Errors of steps over bends are as good as drawn at random, each mesh's on its own and those of half the steps two
    to four times as large. One number may agree with one of them by accident, hardly with all four.

    Args:
        values: the same quantity of the five answers of `halved`.
    """
    return 2 * max(float(np.max(np.abs(values[0] - other), initial=0.0)) for other in values[1:])


def no_answer(problem: Problem, reason: OutOfBudget) -> FlowError:
    """What is said of a field that bends often and cannot be followed.

    Args:
        problem: whose field it is.
        reason: what was seen.
    """
    return FlowError(
        f"problem {problem.name!r}: its field bends again and again, and steps of one length do not lead along its "
        f"solution ({reason}). Usual cause: a stiff field, or a solution that ends on the way. Shorten the times."
    )


def _affordable(f: Flat) -> bool:
    """Whether a mesh twice as fine is within the budget: all before it together have taken as much."""
    return 3 * f.spent <= f.budget


def _ends(f: Flat) -> Array:
    """Ends of rough steps, the times and breaks of the field among them."""
    along = path(f.f, f.start, f.times, rtol=ROUGH, breaks=tuple(f.breaks))
    return np.array([float(f.times[0]), *(hi for _, hi in along.panels)])


def _mesh(ends: Array, f: Flat, number: int, *, seed: int) -> Array:
    """About `number` steps, none longer than twice the mean; all that are not ends of rough ones moved at random."""
    draw, mean = np.random.default_rng(seed), abs(float(ends[-1] - ends[0])) / number
    share = number / 2 / (len(ends) - 1)
    out = [ends[0]]
    for a, b in pairwise(ends.tolist()):
        parts = max(int(np.ceil(share)), int(np.ceil(abs(b - a) / mean / 2)))
        inside = np.arange(1, parts) + draw.uniform(-MOVED, MOVED, parts - 1)
        out += [*(a + (b - a) * inside / parts), b]
    return np.array(out)


def runge_kutta(f: Flat, mesh: Array, *, slopes: bool) -> Answer:
    """By classical Runge-Kutta and the exact derivative of its steps; of the solution alone without `slopes`.

    Args:
        f: the field.
        mesh: ends of steps, all times of the field among them.
        slopes: whether derivatives are wanted.

    Raises:
        OutOfBudget: a value was not finite, or the budget is used up.
    """
    states = [f.start]
    for t, s in pairwise(mesh.tolist()):
        (*_, last), slope = _stages(f, t, s - t, states[-1])
        states.append(_finite(states[-1] + (s - t) / 6 * (slope + f.f(s, last)), s))

    def back(a: Array, first: int, last: int, theta: Array) -> Array:
        for i in range(last - 1, first - 1, -1):
            a, of_theta = _pulled_step(f, float(mesh[i]), float(mesh[i + 1] - mesh[i]), states[i], a)
            theta += of_theta
        return a

    return _answered(f, mesh, states, back if slopes else None)


def _stages(f: Flat, t: float, h: float, y: Array) -> tuple[tuple[Array, Array, Array, Array], Array]:
    """The states in which the four slopes of a step are taken, and the first three slopes with their weights."""
    k1 = f.f(t, y)
    k2 = f.f(t + h / 2, y2 := y + h / 2 * k1)
    k3 = f.f(t + h / 2, y3 := y + h / 2 * k2)
    return (y, y2, y3, y + h * k3), k1 + 2 * k2 + 2 * k3


def _pulled_step(f: Flat, t: float, h: float, y: Array, a: Array) -> tuple[Array, Array]:
    """dL/dy before a step from that after it, and the step's share of dL/dtheta."""
    (y1, y2, y3, y4), _ = _stages(f, t, h, y)
    p4 = f.pulled(t + h, y4, h / 6 * a)
    p3 = f.pulled(t + h / 2, y3, h / 3 * a + h * p4.y.ravel())
    p2 = f.pulled(t + h / 2, y2, h / 3 * a + h / 2 * p3.y.ravel())
    p1 = f.pulled(t, y1, h / 6 * a + h / 2 * p2.y.ravel())
    pulled = (p1, p2, p3, p4)
    return a + sum(p.y.ravel() for p in pulled), sum((p.theta for p in pulled), np.zeros(f.problem.field.params))


def kutta(f: Flat, mesh: Array, *, slopes: bool) -> Answer:
    """By Kutta's formula of third order, and the adjoint equation likewise; as `runge_kutta`."""
    states, rates = _walked(f, mesh)

    def back(a: Array, first: int, last: int, theta: Array) -> Array:
        later = f.pulled(float(mesh[last]), states[last], a)
        for i in range(last - 1, first - 1, -1):
            t, h = float(mesh[i]), float(mesh[i + 1] - mesh[i])
            middle = (states[i] + states[i + 1]) / 2 + h / 8 * (rates[i] - rates[i + 1])
            k1 = later.y.ravel()
            k2 = f.pull(t + h / 2, middle, a + h / 2 * k1)
            k3 = f.pull(t, states[i], a + h * (2 * k2 - k1))
            before = a + h / 6 * (k1 + 4 * k2 + k3)
            now = f.pulled(t, states[i], before)
            halfway = f.pulled(t + h / 2, middle, (a + before) / 2 + h / 8 * (k1 - now.y.ravel()))
            theta += h / 6 * (later.theta + 4 * halfway.theta + now.theta)
            a, later = before, now
        return a

    return _answered(f, mesh, states, back if slopes else None)


def _walked(f: Flat, mesh: Array) -> tuple[list[Array], list[Array]]:
    """States at the ends of Kutta's steps, and the slopes there."""
    states, rates = [f.start], [f.f(float(mesh[0]), f.start)]
    for t, s in pairwise(mesh.tolist()):
        h, y, k1 = s - t, states[-1], rates[-1]
        k2 = f.f(t + h / 2, y + h / 2 * k1)
        k3 = f.f(s, y + h * (2 * k2 - k1))
        states.append(_finite(y + h / 6 * (k1 + 4 * k2 + k3), s))
        rates.append(f.f(s, states[-1]))
    return states, rates


def refuse_jumps(f: Flat) -> None:
    """Refuse a field that jumps because its state crosses a place: no step's derivative knows of that.

    Args:
        f: the field.

    Raises:
        FlowError: it jumps.
        OutOfBudget: as for `kutta`.
    """
    mesh = _mesh(_ends(f), f, FEWEST, seed=0)
    states, rates = _walked(f, mesh)
    forwards = 1.0 if mesh[-1] >= mesh[0] else -1.0

    def state(t: float) -> Array:
        i = min(max(int(np.searchsorted(forwards * mesh, forwards * t, "right")) - 1, 0), len(mesh) - 2)
        h = float(mesh[i + 1] - mesh[i])
        x = (t - float(mesh[i])) / h
        bent = (1 - 2 * x) * (states[i + 1] - states[i]) + h * ((x - 1) * rates[i] + x * rates[i + 1])
        return (1 - x) * states[i] + x * states[i + 1] + x * (x - 1) * bent

    def rate(x: float, at: float) -> Array:
        return f.f(forwards * x, state(forwards * at))

    x, seen, name = forwards * mesh, np.stack(rates), f.problem.name
    refuse_along(name, x, seen, rate, lambda x: forwards * x)
    # where it jumps again and again no jump stands out: the largest bends of all are followed down to their places
    for i in _most_bent(seen):
        begin, width = float(x[i]), float(x[i + 2] - x[i])

        def within(at: float, begin: float = begin, width: float = width) -> Array:
            return rate(begin + at * width, begin + at * width)

        place = kink_in(0.0, 1.0, within)
        if place is None:
            continue
        found = (begin + (place - ASIDE) * width, begin + (place + ASIDE) * width)
        before, after = (rate(t, t) for t in found)
        if np.max(np.abs(after - before)) > NO_BEND * np.max(np.abs(after) + np.abs(before)):
            refuse(name, found, rate, lambda x: forwards * x)


def _most_bent(rates: Array) -> list[int]:
    """Where the largest and some of the other second differences of the rates begin."""
    bent = np.max(np.abs(np.diff(rates, n=2, axis=0)), axis=1)
    largest, others = np.argsort(-bent)[:LARGEST], np.random.default_rng(0).integers(len(bent), size=LARGEST)
    return [*largest.tolist(), *others.tolist()]


def _answered(
    f: Flat, mesh: Array, states: list[Array], back: Callable[[Array, int, int, Array], Array] | None
) -> Answer:
    """The answer of a mesh from the states at its ends; back: (a, first, last, theta) ↦ a at the first of two ends."""
    places = {float(t): int(np.argmin(np.abs(mesh - t))) for t in f.times}
    out = Answer(np.stack([states[i] for i in places.values()]))
    if back is None:
        return out
    theta = np.zeros(f.problem.field.params)

    def carried(a: Array, start: float, end: float) -> Array:
        return back(a, places[end], places[start], theta)

    out.y0, out.t, out.adjoints = carried_back(f.f, f.times, f.cotangents(out.solution), out.solution, carried)
    out.theta = {"theta": theta} if len(theta) else {}
    if not np.isfinite(out.y0).all():
        raise OutOfBudget("a derivative was not finite")
    return out


def _finite(y: Array, t: float) -> Array:
    if not np.isfinite(y).all():
        raise OutOfBudget(f"a value was not finite at t = {t:g}")
    return y
