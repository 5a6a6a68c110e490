"""The flow and its derivatives to 30 digits and more, for any field whose formulas run on mpmath numbers.

Gauss collocation of 16 stages, a Runge–Kutta method of order 32 (Hairer, Nørsett & Wanner I, section II.7), on elements
that are halved until two meshes agree. The stage equations

    Y_j = y_a + H Σ_i Q_ji F(t_i, Y_i),     y_b = y_a + H Σ_i w_i F(t_i, Y_i)

are solved by Newton's method in machine numbers, then corrected: the residual in mpmath, the correction from the same
float64 matrix. Each correction brings some 14 more digits, so that the field is evaluated only a few times
at each stage. No step-size control, no interpolation and no formula of the float64 reference takes part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mpmath  # pyright: ignore[reportMissingTypeStubs]
import numpy as np

from .bounded import Array
from .fields.field import AnyArray, Field

mp: Any = mpmath
DIGITS = 40  # of the arithmetic; the results are meant to have 30
AGREEMENT = 1e-24  # of two meshes; the finer is better than that by a factor of about 2^32
STAGES = 16
MAX_ELEMENTS = 512


class ExactError(ArithmeticError):
    """The flow cannot be followed to 30 digits."""


def exactly(x: Any) -> AnyArray:
    """Machine numbers as mpmath numbers, digit for digit."""
    return np.asarray(np.frompyfunc(mp.mpf, 1, 1)(np.asarray(x, dtype=object)), dtype=object)


def machine(x: AnyArray) -> Array:
    """The nearest float64 numbers."""
    return np.asarray(x).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Flow:
    """y(t0 + duration) as a function of zeta = (t0, y0 of the row, theta), N = 1 + state + params numbers.

    y (times, batch, state), first (times, batch, state, N), second (times, batch, state, N, N): mpmath objects, `None`
    beyond the order asked for. The durations ts − t0 are held fixed: a derivative in t0 moves the whole window.
    """

    y: AnyArray
    first: AnyArray | None = None
    second: AnyArray | None = None


@dataclass(frozen=True, eq=False)
class _Rule:
    """Nodes c, the integrals Q_ji = ∫_0^{c_j} l_i, and `end` with y_b = y_a + Σ end_j (Y_j − y_a)."""

    nodes: AnyArray
    integrals: AnyArray
    end: AnyArray


@lru_cache(maxsize=4)
def _gauss(stages: int) -> _Rule:
    with mp.workdps(2 * DIGITS):

        def legendre(x: Any) -> Any:
            return mp.legendre(stages, x)

        roots = mp.polyroots(mp.taylor(legendre, 0, stages)[::-1], maxsteps=200, extraprec=400)
        c = [(1 + mp.re(root)) / 2 for root in sorted(roots, key=mp.re)]
        powers = mp.matrix(stages, stages)
        moments = mp.matrix(stages, stages)
        for j in range(stages):
            for k in range(stages):
                powers[k, j] = c[j] ** k
                moments[k, j] = c[j] ** (k + 1) / (k + 1)
        q = (powers**-1 * moments).T
        weights = powers**-1 * mp.matrix([mp.mpf(1) / (k + 1) for k in range(stages)])
        end = (q.T) ** -1 * weights
        return _Rule(np.array(c, dtype=object), np.array(q.tolist(), dtype=object), np.array(list(end), dtype=object))


def flow(field: Field, theta: Array, y0: Array, ts: Array, *, order: int) -> Flow:
    """The flow from ts[0] to all of ts and its derivatives up to `order` (0, 1 or 2).

    Raises ExactError when the solution cannot be followed, for example because it ends before the last time.
    """
    with mp.workdps(DIGITS):
        size = 1 + field.state + field.params
        batch, d = y0.shape
        start = Flow(exactly(y0))
        if order >= 1:
            first = np.zeros((batch, d, size))
            first[:, np.arange(d), 1 + np.arange(d)] = 1.0
            start = Flow(start.y, exactly(first), exactly(np.zeros((batch, d, size, size))) if order == 2 else None)
        found, elements = [start], 1
        solver = _Elements(field, exactly(theta), _gauss(STAGES))
        for a, b in zip(exactly(ts)[:-1], exactly(ts)[1:], strict=True):
            elements = solver.enough(a, b, found[-1].y, max(1, elements // 2))
            found.append(solver.across(a, b, found[-1], elements))

        def stacked(parts: list[AnyArray | None]) -> AnyArray | None:
            return None if parts[0] is None else np.stack([p for p in parts if p is not None])

        y = stacked([f.y for f in found])
        assert y is not None
        return Flow(y, stacked([f.first for f in found]), stacked([f.second for f in found]))


class _Elements:
    """Collocation of one field, element by element."""

    def __init__(self, field: Field, theta: AnyArray, rule: _Rule) -> None:
        self.field, self.theta, self.rule = field, theta, rule
        self.theta64, self.integrals64 = machine(theta), machine(rule.integrals)

    def enough(self, a: Any, b: Any, y: AnyArray, elements: int) -> int:
        """How many elements [a, b] takes: twice as many as the first count whose double agrees with it."""
        coarse = self._attempt(a, b, y, elements)
        while elements <= MAX_ELEMENTS:
            fine = self._attempt(a, b, y, 2 * elements)
            if coarse is not None and fine is not None:
                size = max(float(np.max(np.abs(fine))), 1e-300)
                if float(np.max(np.abs(fine - coarse))) <= AGREEMENT * size:
                    return 2 * elements
            elements, coarse = 2 * elements, fine
        raise ExactError(
            f"no agreement to {AGREEMENT:g} between t = {float(a):g} and {float(b):g} with {MAX_ELEMENTS} "
            "elements: the solution ends there, or it is too stiff"
        )

    def _attempt(self, a: Any, b: Any, y: AnyArray, elements: int) -> AnyArray | None:
        try:
            return self.across(a, b, Flow(y), elements).y
        except ExactError:
            return None

    def across(self, a: Any, b: Any, start: Flow, elements: int) -> Flow:
        width = (b - a) / elements
        now = start
        for k in range(elements):
            now = self._element(a + k * width, width, now)
        return now

    def _element(self, a: Any, width: Any, start: Flow) -> Flow:
        times = self.rule.nodes * width + a
        stages = self._stages(times, width, start.y)
        y = self._end(start.y, stages)
        if start.first is None:
            return Flow(y)
        order = 1 if start.second is None else 2
        jets = [self.field.jet(t, s, self.theta, order) for t, s in zip(times, stages, strict=True)]
        rates = np.stack([j.first for j in jets if j.first is not None])  # (stages, batch, state, N)
        at_y = rates[..., 1 : 1 + start.y.shape[1]]
        matrix = self._matrix(machine(at_y), float(width))
        forced = rates.copy()
        forced[..., 1 : 1 + start.y.shape[1]] = 0 * at_y  # what moves S without S: dF/dt0 and dF/dtheta
        first = self._linear(start.first, at_y, forced, matrix, width)
        if start.second is None:
            return Flow(y, self._end(start.first, first))
        bends = np.stack([j.second for j in jets if j.second is not None])
        curved = _along(np.swapaxes(_along(bends, first), -1, -2), first)
        second = self._linear(start.second, at_y, curved, matrix, width)
        return Flow(y, self._end(start.first, first), self._end(start.second, second))

    def _stages(self, times: AnyArray, width: Any, y: AnyArray) -> AnyArray:
        """Y_j: (stages, batch, state). Newton in machine numbers from the constant, then corrections."""
        times64, y64 = machine(times), machine(y)
        guess = np.broadcast_to(y64, (STAGES, *y64.shape)).copy()
        matrix = None
        with np.errstate(all="ignore"):
            for _ in range(25):
                jets = [self.field.jet(t, s, self.theta64, 1) for t, s in zip(times64, guess, strict=True)]
                slopes = np.stack([j.first[..., 1 : 1 + y.shape[1]] for j in jets if j.first is not None])
                if not np.isfinite(slopes).all():
                    raise ExactError(f"Newton's method left the finite numbers near t = {float(times[0]):g}")
                matrix = self._matrix(slopes, float(width))
                residual = y64 + float(width) * _mix(self.integrals64, np.stack([j.value for j in jets])) - guess
                step = _solve(matrix, residual)
                guess = guess + step
                if not np.isfinite(guess).all() or np.max(np.abs(guess)) > 1e12:
                    raise ExactError(f"Newton's method diverges near t = {float(times[0]):g}")
                if np.max(np.abs(step)) <= 1e-11 * max(float(np.max(np.abs(guess))), 1e-200):
                    break
            else:
                raise ExactError(f"Newton's method does not converge near t = {float(times[0]):g}")
        stages = exactly(guess)
        assert matrix is not None
        for _ in range(6):
            rates = np.stack([self.field.jet(t, s, self.theta, 0).value for t, s in zip(times, stages, strict=True)])
            residual = y + _mix(self.rule.integrals, rates) * width - stages
            step = _correction(matrix, residual)
            stages = stages + step
            if _small(step, stages):
                return stages
        raise ExactError(f"the corrections do not converge near t = {float(times[0]):g}")

    def _linear(self, start: AnyArray, at_y: AnyArray, forced: AnyArray, matrix: Array, width: Any) -> AnyArray:
        """Stages of X' = F_y X + forced, X(a) = start, by corrections from zero. X: (batch, state, ...)."""
        flat = start.reshape(*start.shape[:2], -1)
        force = forced.reshape(*forced.shape[:3], -1)
        known = flat + _mix(self.rule.integrals, force) * width
        stages = 0 * known
        for _ in range(7):
            residual = known + _mix(self.rule.integrals, at_y @ stages) * width - stages
            step = _correction(matrix, residual)
            stages = stages + step
            if _small(step, stages):
                return stages.reshape(STAGES, *start.shape)
        raise ExactError("the corrections of the variational equations do not converge")

    def _matrix(self, slopes: Array, width: float) -> Array:
        """I − H Q ⊗ F_y of every row: (batch, stages · state, stages · state)."""
        stages, batch, d, _ = slopes.shape
        blocks = -width * np.einsum("ji,ibkl->bjkil", self.integrals64, slopes)
        return np.eye(stages * d) + blocks.reshape(batch, stages * d, stages * d)

    def _end(self, start: AnyArray, stages: AnyArray) -> AnyArray:
        return start + _mix(self.rule.end, stages - start)


def _small(step: AnyArray, stages: AnyArray) -> bool:
    return float(np.max(np.abs(step))) <= 10.0 ** (-DIGITS / 2 - 4) * max(float(np.max(np.abs(stages))), 1e-250)


def _mix(matrix: AnyArray, values: AnyArray) -> AnyArray:
    """matrix @ values along the stages; mpmath numbers as integers of one exponent, which is ten times quicker."""
    if values.dtype != object:
        return np.tensordot(matrix, values, axes=1)
    size = np.max(np.abs(values))
    if size == 0:
        return np.full((*matrix.shape[:-1], *values.shape[1:]), mp.mpf(0), dtype=object)
    shift = 4 * DIGITS - mp.frexp(size)[1]

    def whole(x: Any) -> int:
        return int(mp.ldexp(x, shift))

    integers = np.frompyfunc(whole, 1, 1)(values)

    def fixed(x: Any) -> int:
        return int(mp.ldexp(x, 4 * DIGITS))

    shifted = np.frompyfunc(fixed, 1, 1)(matrix)
    product: AnyArray = np.tensordot(np.asarray(shifted), np.asarray(integers), axes=1)

    def back(x: int) -> Any:
        return mp.ldexp(mp.mpf(x), -shift - 4 * DIGITS)

    return np.asarray(np.frompyfunc(back, 1, 1)(product), dtype=object)


def _along(block: AnyArray, first: AnyArray) -> AnyArray:
    """block @ Z, Z = d(t, y, theta)/dzeta: the identity with S in the rows of y. block: (..., state, N, N)."""
    d = first.shape[-2]
    result = block.copy()
    result[..., 1 : 1 + d] = 0 * result[..., 1 : 1 + d]
    return result + block[..., 1 : 1 + d] @ first[..., None, :, :]


def _solve(matrix: Array, residual: Array) -> Array:
    """Solve for all stages of every row at once: residual (stages, batch, state, ...)."""
    stages, batch, d = residual.shape[:3]
    right = np.moveaxis(residual, 1, 0).reshape(batch, stages * d, -1)
    found: Array = np.linalg.solve(matrix, right).astype(np.float64).reshape(batch, stages, d, *residual.shape[3:])
    return np.moveaxis(found, 0, 1)


def _correction(matrix: Array, residual: AnyArray) -> AnyArray:
    """The float64 solution for a residual in mpmath numbers, scaled so that it cannot underflow."""
    size = np.max(np.abs(residual))
    if size == 0:
        return 0 * residual
    return exactly(_solve(matrix, machine(residual / size))) * size
