"""Hard problems whose difficulty lies in the state: g(t) h(y), kinks and steps of h, rows, mixed components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import mpmath  # pyright: ignore[reportMissingTypeStubs]
import numpy as np

from .hard_in_time import Rng, some_bump, some_pulse
from .hard_problem import DIGITS, Hard, at_the_end
from .separable import Cosine, Cubed, Exponential, Graded, Inverse, Kink, Logistic, Root, Separable, Squared, Stairs
from .shaped import Mixed, Passed
from .shapes import Bump, Chirp, Power, Saw, Shape, Sum, Wave
from .shapes import exact as number

mp: Any = mpmath


def separable(
    family: str,
    g: Shape,
    h: Inverse,
    *,
    y0: float,
    theta: float = 1.0,
    ts: tuple[float, ...] = (0.0, 1.0),
) -> Hard:
    """y' = a g(t) h(y): y(T) = P(y0, a G), G = ∫ g dt, dy/dy0 = h(y(T)) / h(y0), dy/da = h(y(T)) G."""
    with mp.workdps(DIGITS):
        whole = g.damped(0.0, number(ts[0]), number(ts[-1]))
        end = h.passed(number(y0), number(theta) * whole)
        last = h.exact(end)
        slope = last / h.exact(number(y0))
    problem = at_the_end(family, Separable(g, h), [[y0]], [theta], ts)
    return Hard(family, problem, [end], [slope], [last * whole], g.narrowest)


def rows(family: str, g: Bump, *, starts: list[float], rate: float, theta: float) -> Hard:
    """Rows that pass the same feature at different times: x' = 1, z' = −λ z + a g(x), each from its own x0."""
    ends: list[Any] = []
    slopes: list[Any] = []
    of_theta = mp.mpf(0)
    with mp.workdps(DIGITS):
        lam = number(rate)
        for x0 in starts:
            start, stop = number(x0), number(x0) + 1
            pushed = g.damped(rate, start, stop)
            first, last = (mp.mpf(float(g.jet(np.array(float(x)))[0])) for x in (start, stop))
            ends += [stop, number(theta) * pushed]
            slopes += [1 + number(theta) * (last - mp.exp(-lam) * first - lam * pushed), mp.exp(-lam)]
            of_theta += pushed
    problem = at_the_end(family, Passed(g, rate), [[x0, 0.0] for x0 in starts], [theta], (0.0, 1.0))
    return Hard(family, problem, ends, slopes, [of_theta], g.narrowest)


def mixed(
    family: str, g: Shape, *, matrix: list[list[float]], push: list[float], y0: list[float], theta: float
) -> Hard:
    """y' = −R y + a v g(t) over [0, 1], R symmetric: in the eigenvectors of R each component is driven alone."""
    with mp.workdps(DIGITS):
        rates, q = mp.eigsy(mp.matrix(matrix))
        decay = [mp.exp(-rate) for rate in rates]
        pushed = [g.damped(rate, mp.mpf(0), mp.mpf(1)) for rate in rates]
        d = range(len(y0))

        def turned(k: int, x: list[float]) -> Any:
            return sum(q[i, k] * number(x[i]) for i in d)

        free = [sum(q[i, k] * decay[k] * turned(k, y0) for k in d) for i in d]
        driven = [sum(q[i, k] * pushed[k] * turned(k, push) for k in d) for i in d]
        end = [free[i] + number(theta) * driven[i] for i in d]
        slopes = [sum(q[i, k] * decay[k] * q[j, k] for i in d for k in d) for j in d]
    field = Mixed(g, tuple(map(tuple, matrix)), tuple(push))
    problem = at_the_end(family, field, [y0], [theta], (0.0, 1.0))
    return Hard(family, problem, end, slopes, [sum(driven)], g.narrowest)


ONE = Wave(0.0)


def _mixed(rng: Rng) -> Hard:
    size = int(rng.integers(2, 5))
    half = rng.normal(size=(size, size))
    matrix = (half + half.T) / 2 * float(rng.choice([1.0, 1.0, 4.0]))
    g = Sum(tuple(some_bump(rng, weight=1.0) for _ in range(int(rng.integers(1, 3)))))
    y0, push = rng.normal(size=size) * float(rng.choice([0.0, 1.0, 1e-8])), rng.normal(size=size)
    return mixed("mixed components", g, matrix=matrix.tolist(), push=push.tolist(), y0=y0.tolist(), theta=1.0)


def _rows(rng: Rng) -> Hard:
    starts = rng.uniform(-0.5, 0.5, size=int(rng.integers(2, 5))).tolist()
    return rows("rows", some_bump(rng), starts=starts, rate=float(rng.choice([0.0, 1.0])), theta=1.0)


def _late(rng: Rng) -> Hard:
    start = float(10 ** rng.uniform(2, 5))
    bump = some_bump(rng, weight=1.0, width=float(10 ** rng.uniform(-2.5, -1)))
    later = Bump(Fraction(start + float(bump.centre)), bump.width, bump.height)
    return separable("late", later, _smooth(rng), y0=0.3, theta=0.5, ts=(start, start + 1))


def _smooth(rng: Rng) -> Inverse:
    return (Cosine(), Logistic(), Exponential())[rng.integers(3)]


def _power(rng: Rng) -> Hard:
    centre = float(rng.choice([0.0, 0.0, rng.uniform(0.1, 0.9)]))
    return separable("power", Power(centre, float(rng.choice([0.3, 0.5, 1.5, 2.5]))), _smooth(rng), y0=0.2)


def _outputs(rng: Rng) -> Hard:
    inner = np.sort(rng.uniform(0.01, 0.99, size=int(rng.integers(2, 12)))).tolist()
    return separable("many outputs", some_bump(rng, weight=0.8), _smooth(rng), y0=0.4, ts=(0.0, *inner, 1.0))


def _graded(rng: Rng) -> Hard:
    """A transition of h from 1 to another value that takes 1e-1 to 1e-3 of the state, passed once."""
    width = float(10 ** rng.uniform(-3, -1))
    step = Graded(float(rng.uniform(0.2, 0.6)), width, float(10 ** rng.uniform(-0.7, 0.7)))
    return replace(separable("transition in the state", ONE, step, y0=0.0), narrowest=width / max(1.0, step.r))


FAMILIES: dict[str, Callable[[Rng], Hard]] = {
    "bump times h": lambda rng: separable(
        "bump times h",
        some_bump(rng, weight=float(rng.uniform(-0.9, 0.9))),
        _smooth(rng),
        y0=float(rng.uniform(0, 0.9)),
    ),
    "pulse times h": lambda rng: separable(
        "pulse times h", some_pulse(rng), _smooth(rng), y0=float(rng.uniform(0, 0.9)), theta=0.1
    ),
    "Riccati": lambda rng: separable("Riccati", some_bump(rng, weight=0.8), Squared(), y0=float(rng.uniform(-5, 1.1))),
    "layer at the start": lambda rng: separable("layer at the start", ONE, Cubed(), y0=float(10 ** rng.uniform(1, 5))),
    "root": lambda rng: separable("root", ONE, Root(), y0=float(10 ** rng.uniform(-12, 0))),
    "chirp": lambda rng: separable("chirp", Chirp(float(10 ** rng.uniform(1, 2.7))), _smooth(rng), y0=0.3),
    "saw": lambda rng: separable("saw", Saw(float(rng.uniform(3, 60))), _smooth(rng), y0=0.3),
    "power": _power,
    "kink in the state": lambda rng: separable(
        "kink in the state", ONE, Kink(float(rng.uniform(0.1, 0.8)), float(rng.uniform(-0.9, 5))), y0=0.0
    ),
    "step in the state": lambda rng: separable(
        "step in the state", ONE, Stairs(float(rng.uniform(0.1, 0.8)), float(rng.uniform(0.1, 5))), y0=0.0
    ),
    "transition in the state": _graded,
    "rows": _rows,
    "mixed components": _mixed,
    "late": _late,
    "many outputs": _outputs,
}
