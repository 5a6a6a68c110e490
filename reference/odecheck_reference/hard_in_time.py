"""Hard problems whose difficulty lies in time, in scales, in stiffness: linear equations and y' = y²."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath  # pyright: ignore[reportMissingTypeStubs]
import numpy as np

from .fields.linear import Linear
from .hard_problem import DIGITS, Hard, at_the_end
from .shaped import Driven, Modulated, Passed, Slowed, Square
from .shapes import Bump, Pulse, Shape, Sum, Wave
from .shapes import exact as number

mp: Any = mpmath


def driven(
    family: str,
    g: Shape,
    *,
    rate: float = 0.0,
    y0: float = 1.0,
    theta: float = 1.0,
    ts: tuple[float, float] = (0.0, 1.0),
) -> Hard:
    """y' = −λ y + a g(t): y(T) = e^{−λτ} y0 + a ∫ e^{−λ (T − t)} g dt."""
    with mp.workdps(DIGITS):
        start, stop = number(ts[0]), number(ts[-1])
        pushed, decay = g.damped(rate, start, stop), mp.exp(-number(rate) * (stop - start))
        end = decay * number(y0) + number(theta) * pushed
    problem = at_the_end(family, Driven(g, rate), [[y0]], [theta], ts)
    return Hard(family, problem, [end], [decay], [pushed], g.narrowest)


def modulated(
    family: str, g: Shape, *, y0: float = 1.0, theta: float = 1.0, ts: tuple[float, float] = (0.0, 1.0)
) -> Hard:
    """y' = a g(t) y: y(T) = y0 e^{a G}, G = ∫ g dt."""
    with mp.workdps(DIGITS):
        whole = g.damped(0.0, number(ts[0]), number(ts[1]))
        grown = mp.exp(number(theta) * whole)
        end = number(y0) * grown
    return Hard(
        family, at_the_end(family, Modulated(g), [[y0]], [theta], ts), [end], [grown], [end * whole], g.narrowest
    )


def passed(family: str, g: Shape, *, rate: float = 0.0, x0: float = 0.0, theta: float = 1.0) -> Hard:
    """x' = 1, z' = −λ z + a g(x) over [0, 1] from z = 0: as if driven in time, from x0 to x0 + 1.

    dz(T)/dx0 = a ∫ e^{−λ (T − t)} g'(x) dt = a (g(x1) − e^{−λ} g(x0) − λ ∫ e^{−λ (T − t)} g dt).
    """
    with mp.workdps(DIGITS):
        lam, start, stop = number(rate), number(x0), number(x0) + 1
        pushed = g.damped(rate, start, stop)
        ends = [mp.mpf(float(g.jet(np.array(float(x)))[0])) for x in (start, stop)]
        moved = number(theta) * (ends[1] - mp.exp(-lam) * ends[0] - lam * pushed)
        truth = [stop, number(theta) * pushed]
        slopes = [1 + moved, mp.exp(-lam)]
    problem = at_the_end(family, Passed(g, rate), [[x0, 0.0]], [theta], (0.0, 1.0))
    return Hard(family, problem, truth, slopes, [pushed], g.narrowest)


def slowed(family: str, g: Bump, *, theta: float) -> Hard:
    """y' = 1 + a g(y) from 0 over [0, 1]: ∫ dy / (1 + a g) = 1, dy/dy0 = F(y) / F(0), dy/da = F(y) ∫ g / F² dy."""
    with mp.workdps(30):
        a, c, s, h = number(theta), mp.mpf(float(g.centre)), number(g.width), number(g.height)

        def value(y: Any) -> Any:
            return h * mp.exp(-(((y - c) / s) ** 2))

        def over(function: Callable[[Any], Any], upper: Any) -> Any:
            inner = [c + k * s for k in (-9, -3, -1, 0, 1, 3, 9) if 0 < c + k * s < upper]
            return mp.quad(function, [mp.mpf(0), *inner, upper])

        end = mp.mpf(1)
        for _ in range(60):  # Newton's iteration, τ'(y) = 1 / F(y)
            change = (1 - over(lambda y: 1 / (1 + a * value(y)), end)) * (1 + a * value(end))
            end += change
            if abs(change) < mp.mpf(10) ** -25:
                break
        last = 1 + a * value(end)
        slopes = [last / (1 + a * value(mp.mpf(0)))]
        of_theta = last * over(lambda y: value(y) / (1 + a * value(y)) ** 2, end)
    narrowest = g.narrowest / max(1.0, 1 + theta * g.height)
    return Hard(
        family, at_the_end(family, Slowed(g), [[0.0]], [theta], (0.0, 1.0)), [end], slopes, [of_theta], narrowest
    )


def linear(family: str, matrix: list[list[float]], y0: list[float], time: float) -> Hard:
    """y' = A y from 0 to `time`, by the exponential of the matrix."""
    d = len(y0)
    field, theta = Linear(d), [x for row in matrix for x in row] + [0.0] * d
    with mp.workdps(200):
        power = mp.expm(mp.matrix([[number(x) for x in row] for row in matrix]) * number(time))
        end = [sum(power[i, j] * number(y0[j]) for j in range(d)) for i in range(d)]
        slopes = [sum(power[i, j] for i in range(d)) for j in range(d)]
    return Hard(family, at_the_end(family, field, [y0], theta, (0.0, time)), end, slopes, None, np.inf)


def pole(family: str, y0: float, gap: float) -> Hard:
    """y' = y² until the share `gap` is left to the pole: y = y0 / D, D = 1 − a y0 τ."""
    stop = (1 - gap) / y0
    with mp.workdps(DIGITS):
        u, tau = number(y0), number(stop)
        left = 1 - u * tau
        truth, slopes, of_theta = [u / left], [1 / left**2], [u**2 * tau / left**2]
    return Hard(family, at_the_end(family, Square(), [[y0]], [1.0], (0.0, stop)), truth, slopes, of_theta, np.inf)


Rng = np.random.Generator


def _width(rng: Rng, narrow: float = 3e-4, wide: float = 3e-2) -> float:
    return float(narrow * (wide / narrow) ** rng.random())


def some_bump(rng: Rng, length: float = 1.0, weight: float | None = None, width: float | None = None) -> Bump:
    """A bump somewhere in [0, length], half of them where no number says so; weight: about its integral."""
    s = (_width(rng) if width is None else width) * length
    centre = float(rng.uniform(0.03, 0.97) * length)
    area = float(10 ** rng.uniform(-3, 1)) if weight is None else weight
    return Bump(Fraction(centre) if rng.random() < 0.7 else centre, s, area / s)


def some_pulse(rng: Rng, length: float = 1.0) -> Pulse:
    """A pulse somewhere in [0, length]."""
    w, first = _width(rng) * length, float(rng.uniform(0.03, 0.9) * length)
    hide = Fraction if rng.random() < 0.7 else float
    return Pulse(hide(first), hide(first + w), float(10 ** rng.uniform(-3, 1)) / w)


def _rate(rng: Rng) -> float:
    return float(rng.choice([0.0, 1.0, -1.0, 5.0]))


def _mixed(rng: Rng) -> Hard:
    big, small, turn = float(10 ** rng.uniform(2, 9)), float(10 ** rng.uniform(-9, -2)), float(rng.uniform(0.5, 4))
    matrix = [[0.0, 1.0, 0, 0], [-1.0, 0, 0, 0], [0, 0, 0, turn], [0, 0, -turn, 0]]
    return linear("mixed scales", matrix, [big, 0.0, small, 0.0], float(rng.uniform(1, 5)))


def _cancelling(rng: Rng) -> Hard:
    start, rate = float(10 ** rng.uniform(-6, 6)), float(rng.uniform(0.2, 2))
    matrix = [[-rate, 0, 0], [0, -rate, 0], [1.0, -1.0, 0]]
    return linear("cancelling", matrix, [start, start, 0.0], float(rng.uniform(0.5, 3)))


def _comb(rng: Rng) -> Hard:
    count = int(rng.integers(3, 9))
    return driven("comb", Sum(tuple(some_bump(rng, weight=0.3) for _ in range(count))), y0=0.0, rate=_rate(rng))


def _ends(rng: Rng) -> Hard:
    w = _width(rng)
    parts = Sum((Bump(Fraction(0), w, 1 / w), Bump(Fraction(float(1 + w * rng.uniform(-1, 1))), w, 1 / w)))
    return driven("both ends", parts, y0=float(rng.normal()), rate=_rate(rng))


def _backwards(rng: Rng) -> Hard:
    g = some_bump(rng, 2.0) if rng.random() < 0.7 else some_pulse(rng, 2.0)
    return driven("decreasing times", g, rate=float(rng.choice([0.0, 1.0, -1.0])), ts=(2.0, 0.0))


def _tiny_interval(rng: Rng) -> Hard:
    start, size = float(rng.choice([0.0, 0.0, 1.0, 100.0])), float(10 ** rng.uniform(-14, -6))
    stop = start + size * (1e3 if start else 1.0)
    rate = float(rng.uniform(0.5, 3)) / (stop - start)
    return driven("tiny interval", Wave(0.0), rate=rate, theta=rate, ts=(start, stop))


FAMILIES: dict[str, Callable[[Rng], Hard]] = {
    "bump in time": lambda rng: driven("bump in time", some_bump(rng), rate=_rate(rng)),
    "pulse": lambda rng: driven("pulse", some_pulse(rng), rate=_rate(rng)),
    "weak bump": lambda rng: driven("weak bump", some_bump(rng, weight=float(10 ** rng.uniform(-12, -4))), rate=1.0),
    "bump in F_theta": lambda rng: driven("bump in F_theta", some_bump(rng), rate=_rate(rng), theta=0.0),
    "bump in F_y": lambda rng: modulated("bump in F_y", some_bump(rng, weight=1.0), y0=0.0),
    "bump as a factor": lambda rng: modulated("bump as a factor", some_bump(rng, weight=0.7)),
    "bump in the state": lambda rng: passed("bump in the state", some_bump(rng), rate=_rate(rng)),
    "pulse in F_theta": lambda rng: driven("pulse in F_theta", some_pulse(rng), theta=0.0),
    "bump of the speed": lambda rng: slowed(
        "bump of the speed", some_bump(rng, weight=None, width=_width(rng, 2e-3)), theta=float(rng.uniform(0.01, 0.3))
    ),
    "comb": _comb,
    "both ends": _ends,
    "scales": lambda rng: driven("scales", Wave(5.0, 0.3), y0=float(10 ** rng.uniform(-290, 140)), theta=0.0, rate=1.0),
    "tiny from zero": lambda rng: driven(
        "tiny from zero", Wave(float(rng.uniform(3, 30)), -np.pi / 2), y0=0.0, theta=float(10 ** rng.uniform(-290, -3))
    ),
    "tiny sensitivity": lambda rng: driven(
        "tiny sensitivity", Wave(float(rng.uniform(3, 30)), -np.pi / 2, float(10 ** rng.uniform(-30, -3)))
    ),
    "tiny bump from zero": lambda rng: driven(
        "tiny bump from zero", some_bump(rng, weight=float(10 ** rng.uniform(-250, -6))), y0=0.0
    ),
    "mixed scales": _mixed,
    "cancelling": _cancelling,
    "stiff": lambda rng: _stiff(float(10 ** rng.uniform(2, 6))),
    "long": lambda rng: driven(
        "long", some_bump(rng, 1000.0, weight=1.0), rate=float(rng.choice([0.0, 1e-3, 1e-2])), ts=(0.0, 1000.0)
    ),
    "growth": lambda rng: driven(
        "growth",
        Wave(0.0),
        theta=0.0,
        rate=-1.0,
        y0=float(10 ** rng.uniform(-20, 0)),
        ts=(0.0, float(rng.uniform(5, 50))),
    ),
    "pole": lambda rng: pole("pole", float(10 ** rng.uniform(-3, 3)), float(10 ** rng.uniform(-4, -0.5))),
    "oscillation": lambda rng: driven("oscillation", Wave(float(10 ** rng.uniform(1.5, 2.7)), 0.4), rate=1.0),
    "tiny interval": _tiny_interval,
    "decreasing times": _backwards,
}


def _stiff(rate: float) -> Hard:
    return driven("stiff", Wave(1.0), rate=rate, theta=rate, y0=0.0)
