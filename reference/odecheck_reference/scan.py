"""The defect |u'(t) − f(t, u(t))| of the dense output of a run, at one random time in each of many strata.

Adaptive solvers see a field only where they step. A feature narrower than their steps is stepped over by all of them
alike, and no distance between them tells. Looked at in every stratum, it shows as a defect that the step it lies in
does not explain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bounded import Array
from .dense import Index, Mask, Run
from .layered import forgotten, is_small
from .mesh import Mesh
from .sizes import Sizes
from .stepping import Equation

EPS = float(np.finfo(np.float64).eps)
# numbers (states and sensitivities) looked at in a scan of one kind of equation, and the least and most strata
NUMBERS = 2**15
FEWEST_STRATA, MOST_STRATA = 512, 2**16
# the least strata of a system of which a part was scanned before, or whose evaluations are dear
FEWEST_AGAIN = 256
# so many numbers are worked on at a time
CHUNK = 2**17
# a defect of so many times the median of its own step is no accident
ABOVE_MEDIAN = 30
# a step's samples whose median is trusted
TRUSTED = 6
# the defect times the length of its step may be tolerance ** EXPLAINED: dense outputs are of lower order than steps
EXPLAINED = 0.6
# and so many times the tolerance is explained in any case
OFTEN = 100
# round-off of slopes of a polynomial through values of size one; of the field's own values; of times in short steps
ROUNDED, ROUNDED_RATE, ROUNDED_TIME = 1e-12, 3e-12, 5e-14
# stiffness is undone for systems of so many components
STIFF_MOST = 64


_linalg: Any = np.linalg
Forget = Callable[[Array, Array], Array]


@dataclass(frozen=True, eq=False)
class Samples:
    """One random time in each stratum of segment k, in increasing order, and the field along the sharpest run there.

    x, lo, hi, weight (m,). In units of the local size: value, slope and rate (m, n), the sharpest run's u and u', and
    the field there; forget: (h (m,), d (m, n)) → (1 − h F_y)⁻¹ d, where the equation is stiff, or None.
    local (m, n): that size, in units of the problem. shown: what is looked at of such values, all or their sums.
    """

    k: int
    x: Array
    lo: Array
    hi: Array
    weight: Array
    value: Array
    slope: Array
    rate: Array
    local: Array
    forget: Forget | None
    shown: Callable[[Array], Array]


@dataclass(eq=False)
class Integrals:
    """What a scan leaves for the bar, in units of the problem, (n,): ∫ of the defect with its sign, and of the grain.

    grain: by how much f changes when its arguments are rounded. most: the largest |f| of a stratum, times its width.
    """

    defect: Array
    grain: Array
    most: Array


def drawn(
    equation: Equation,
    sharp: Run,
    mesh: Mesh,
    sizes: Sizes,
    k: int,
    number: int,
    marks: Array,
    rng: np.random.Generator,
    *,
    stiff: bool,
    shown: Callable[[Array], Array],
) -> tuple[Samples, Array, Array]:
    """Look at segment k: the samples, and the integrals of the grain and the largest contribution of one stratum."""
    strata = mesh.strata(k, number, marks)
    x = rng.uniform(strata.lo, strata.hi)
    order = np.argsort(x, kind="stable")
    x, lo, hi, weight = x[order], strata.lo[order], strata.hi[order], strata.weight[order]
    local = np.ones((len(x), len(sizes.unit)))
    for interval in mesh.intervals(k):
        inside = slice(int(np.searchsorted(x, interval.lo)), int(np.searchsorted(x, interval.hi, "right")))
        local[inside] = sizes.local(k, interval.lo, interval.hi)
    u, slope = sharp.steps[k].at(x)
    with np.errstate(all="ignore"):
        rate = rates(equation, sizes, k, x, u)
        few = slice(int(rng.integers(4)), None, 4)  # every fourth is enough for round-off
        signs = 1 + 2 * EPS * rng.choice([-1.0, 1.0], size=u[few].shape)
        times = rng.choice([-2 * EPS, 2 * EPS], size=len(x[few]))
        grain = np.abs(rates(equation, sizes, k, x[few], u[few] * signs, times) - rate[few])
        forget = _forgetting(equation, sizes, k, x, u, rate, local) if stiff else None
    rough = 4 * (np.nan_to_num(grain) * weight[few][:, None]).sum(axis=0)
    most = np.max(np.abs(np.nan_to_num(rate)) * (hi - lo)[:, None], axis=0)
    return Samples(k, x, lo, hi, weight, u / local, slope / local, rate / local, local, forget, shown), rough, most


def rates(equation: Equation, sizes: Sizes, k: int, x: Array, v: Array, later: Array | float = 0.0) -> Array:
    """dv/dx at many x (m,) and v (m, n); later: moves all times by this share of themselves."""
    t = (equation.ts[k] + x * equation.length(k)) * (1 + later)
    out, rows = np.empty_like(v), max(CHUNK // v.shape[1], 1)
    for i in range(0, len(x), rows):
        part = slice(i, i + rows)
        out[part] = equation.many(t[part], v[part] * sizes.unit) * (equation.length(k) / sizes.unit)
    return out


def _forgetting(
    equation: Equation, sizes: Sizes, k: int, x: Array, u: Array, rate: Array, local: Array
) -> Forget | None:
    """What a stiff equation leaves of a defect, in units of the local sizes; None of a large one of unknown layers."""
    system, unit = equation.layered, local * sizes.unit
    if system is not None and is_small(system):
        length, w = equation.length(k), u * sizes.unit
        times = equation.ts[k] + x * length

        def in_layers(h: Array, defect: Array) -> Array:
            return forgotten(system, times, w, h * length, defect * unit) / unit

        return in_layers
    if u.shape[1] > STIFF_MOST:
        return None
    dense = _slopes(equation, sizes, k, x, u, rate, local)

    def at_once(h: Array, defect: Array) -> Array:
        return _linalg.solve(np.eye(dense.shape[1]) - h[:, None, None] * dense, defect[:, :, None])[:, :, 0]

    return at_once


def _slopes(equation: Equation, sizes: Sizes, k: int, x: Array, u: Array, rate: Array, local: Array) -> Array:
    """d rate_i / d v_j in units of the local sizes, by differences: (m, n, n)."""
    columns = list[Array]()
    for j in range(u.shape[1]):
        moved = u.copy()
        moved[:, j] += 1e-7 * local[:, j]
        columns.append((rates(equation, sizes, k, x, moved) - rate) / 1e-7 / local)
    return np.nan_to_num(np.stack(columns, axis=-1))


def unexplained(
    run: Run, samples: Samples, tolerance: float, *, sharp: bool, own: Callable[[Mask, Array], Array] | None = None
) -> tuple[Mask, Array]:
    """(which samples show more than the run's tolerance explains (m,), ∫ of the defect with its sign (n,)).

    A defect d in a step of length h is explained up to min(30 times the median of the step, tolerance^0.6 / h), and up
    to 100 tolerance / h and round-off. Where slopes are given, what counts is (1 − h F_y)⁻¹ d: a stiff equation forgets
    the rest.

    sharp: whether this is the run that the samples were taken along; of any other one, the slopes are compared with
    the same values of the field, and there is no integral. own: (which samples, states) → the field there, asked where
    that comparison shows something, as another run may just be elsewhere.
    """
    steps = run.steps[samples.k]
    step, _, h = steps.where(samples.x)
    with np.errstate(all="ignore"):
        if sharp:
            z, d = samples.value, samples.slope - samples.rate
        else:
            z, slope = steps.at(samples.x)
            d = slope - samples.shown(samples.rate)
            apart = np.max(np.abs(d), axis=1) * h > tolerance
            if own is not None and apart.any():
                d[apart] = slope[apart] - own(apart, z[apart])
        if samples.forget is not None:
            d = samples.forget(h, np.nan_to_num(d, nan=1e300, posinf=1e300, neginf=-1e300))
        size = np.max(np.abs(d), axis=1)
        floor = (ROUNDED + OFTEN * tolerance) * (1 + np.max(np.abs(z), axis=1)) / h
        if samples.forget is None:
            fast = np.max(np.abs(samples.rate), axis=1) * (1 if sharp else d.shape[1] ** 0.5)
            floor += fast * (ROUNDED_RATE + ROUNDED_TIME * samples.x / h)
    number, median = _medians(step, size, samples.weight > 0)
    most = tolerance**EXPLAINED / h
    limit = np.where(number[step] >= TRUSTED, np.minimum(ABOVE_MEDIAN * median[step], most), most)
    bad = ~np.isfinite(size) | (size > limit + floor)
    return bad, _with_sign(d * samples.local, samples.weight, step, number) if sharp else np.zeros(0)


def _with_sign(d: Array, weight: Array, step: Index, number: Index) -> Array:
    """∫ d dx, one step at a time: one feature counts with all of its size, chance errors of many as their root."""
    share = np.nan_to_num(d, nan=0.0, posinf=0.0, neginf=0.0) * weight[:, None]
    starts = np.flatnonzero(np.diff(step, prepend=-1))
    sums = np.add.reduceat(share, starts, axis=0)[number[step[starts]] >= TRUSTED]
    return np.abs(sums.sum(axis=0)) + 2 * np.sqrt((sums**2).sum(axis=0))


def _medians(step: Index, size: Array, counted: Mask) -> tuple[Index, Array]:
    """Number and median of the counted samples of each step."""
    steps = int(step.max()) + 1
    number = np.bincount(step[counted], minlength=steps)
    order = np.lexsort((np.nan_to_num(size[counted], nan=np.inf), step[counted]))
    ranked = size[counted][order]
    median = np.zeros(steps)
    some = number > 0
    ends = np.cumsum(number)
    median[some] = ranked[(ends - number + number // 2)[some]]
    return number, median


def strata_for(size: int, seconds: float, fewest: int = FEWEST_STRATA) -> int:
    """How many strata a system of `size` numbers is looked at in.

    seconds: CPU time of one evaluation where they are asked one after another, else 0. In powers of four, so that
    the number does not hang on the accuracy of a clock.
    """
    number = int(np.clip(NUMBERS // size, fewest, MOST_STRATA))
    if seconds <= 0:
        return number
    affordable = 0.3 / max(seconds, 1e-6)
    return int(np.clip(4.0 ** np.floor(np.log(affordable) / np.log(4.0)), FEWEST_AGAIN, min(8192, 8 * number)))
