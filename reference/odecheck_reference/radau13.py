"""A stiff system with its derivatives, by the seven-stage Radau IIA method: order 13, stage order 7, L-stable.

One step solves Y_i = y + h Σ_j a_ij F(t_j, Y_j) for the state alone by Newton's method, with values of the field
only. What depends on it, S = dy/dzeta and then S2 = d2y/dzeta2, obeys equations that are linear in themselves, with the
field's own ∂F/∂y at the stages: one linear system of stages · state numbers for each row, with a column for each
component, and no iteration. A solver of order five needs some twenty times as many steps at tolerances of 1e-11.

The estimate is that of Hairer's RADAU: an embedded formula of order 7 with the slope at the start, filtered by
(I − h γ F_y)⁻¹, so that what a stiff equation forgets does not count.

Source: Hairer & Wanner II, sections IV.5 and IV.8; Hairer & Wanner, Stiff differential equations solved by Radau
methods, J. Comput. Appl. Math. 111 (1999).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .bounded import Array
from .fields.field import AnyArray, Jet
from .layered import Layered
from .tableau import Tableau

_linalg: Any = np.linalg
# Newton iterations with one matrix, and the share of the tolerance at which they end
ITERATIONS, ENOUGH = 12, 1e-3
# a step is made longer or shorter at most so much at once, and aims at this share of the tolerance
LONGER, SHORTER, SAFETY = 4.0, 0.15, 0.5


class Radau13:
    """In the way of scipy's solvers, for a system of layers; x is its time, in which t = start + x · length.

    Args:
        fun: not asked for: the layers are.
        t0: where it begins, as x.
        y0: v there, (n,), in units of `unit`.
        t_bound: where it ends, as x.
        rtol: relative tolerance.
        atol: absolute one, (n,).
        max_step: the longest step.
        first_step: the first one.
        system: the layers.
        start: t at x = 0.
        length: t moves so far as x moves by one.
        unit: (n,), the unit of each component.
    """

    tableau: ClassVar[Tableau] = Tableau(7)

    def __init__(
        self,
        fun: Callable[[float, Array], Array],
        t0: float,
        y0: Array,
        t_bound: float,
        *,
        rtol: float,
        atol: Array,
        system: Layered,
        start: float,
        length: float,
        unit: Array,
        count: Callable[[int, float], None],
        max_step: float = np.inf,
        first_step: float | None = None,
    ) -> None:
        self.t, self.y, self.t_bound, self.status = t0, y0, t_bound, "running"
        self.t_old: float = t0
        self.rtol, self.atol, self.max_step = rtol, atol, max_step
        self.system, self.start, self.length, self.unit, self._count = system, start, length, unit, count
        self.batch, self.d = system.rows
        self.size = self.batch * self.d
        self._jet = self._jets(np.array([t0]), y0[None, : self.size] * unit[: self.size])
        self._rate = system.rates(self._jet, (y0 * unit)[None])[0]
        self._slopes = self._of_state(self._jet)[0]
        self.h = first_step or self._first_step()
        self._before, self._stages = y0, np.zeros((self.tableau.stages, len(y0)))

    def step(self) -> str | None:
        """One accepted step. Returns why there is none, or None."""
        h = min(self.h, self.max_step)
        while True:
            left = self.t_bound - self.t
            if h < 10 * float(np.spacing(max(abs(self.t), 1e-300))):
                self.status = "failed"
                return "Required step size is less than spacing between numbers."
            last = h >= left * (1 - 1e-12)
            h = left if last else min(h, left)
            stages = self._newton(h)
            if stages is None:
                h *= SHORTER * 2
                continue
            jet = self._jets(self.t + self.tableau.c * h, self.y[: self.size] * self.unit[: self.size] + stages)
            whole = self._layers(h, stages, jet)
            far = self._error(h, whole)
            if not np.isfinite(far):
                h *= SHORTER
                continue
            factor = float(np.clip(SAFETY * max(far, 1e-12) ** (-1 / (self.tableau.stages + 1)), SHORTER, LONGER))
            if far > 1:
                h *= min(factor, 0.9)
                continue
            self._accept(h, whole, jet, factor, last=last)
            return None

    def dense_output(self) -> Callable[[Array], Array]:
        """x (m,) → the polynomial of the last step there, (n, m)."""
        begin, h = self.t_old, self.t - self.t_old
        values = np.vstack([self._before, self._stages])

        def at(x: Array) -> Array:
            far = (np.asarray(x)[:, None] - begin) / h - self.tableau.offsets
            on = np.abs(far) < 1e-14
            with np.errstate(all="ignore"):
                share = self.tableau.weights / far
                share = share / share.sum(axis=1, keepdims=True)
            share[on.any(axis=1)] = on[on.any(axis=1)]
            return (share @ values).T

        return at

    def _accept(self, h: float, whole: Array, jet: Jet, factor: float, *, last: bool) -> None:
        self.t_old, self._before = self.t, self.y
        self._stages = self.y + whole / self.unit
        self.t, self.y = self.t_bound if last else self.t + h, self._stages[-1]
        self._rate = self.system.rates(jet, self._stages * self.unit)[-1]
        self._slopes = self._of_state(jet)[-1]
        self.h = h * factor
        self.status = "finished" if last else "running"

    def _jets(self, x: Array, y: Array) -> Jet:
        self._count(len(x), float(x[0]))
        return self.system.sloped(self.start + x * self.length, y.reshape(len(x), self.batch, self.d))

    def _of_state(self, jet: Jet) -> Array:
        """∂F/∂y, (m, batch, state, state)."""
        assert jet.first is not None
        return jet.first[..., 1 : 1 + self.d]

    def _first_step(self) -> float:
        scale = self.atol + self.rtol * np.abs(self.y)
        rate = float(np.max(np.abs(self._rate * self.length / self.unit) / scale, initial=0.0))
        fast = float(np.max(np.abs(self._slopes), initial=0.0)) * abs(self.length)
        left = self.t_bound - self.t
        # a step in which neither the slope nor its change shows more than the tolerance's share
        return float(min(left, 1e-2 * left + 1e-3 / max(fast, 1e-300), 0.1 / max(fast, 1e-300) if rate else left))

    def _newton(self, h: float) -> Array | None:
        """Increments of the state at the stages, (stages, size), or None where they do not converge."""
        step, y = h * self.length, self.y[: self.size] * self.unit[: self.size]
        t = self.start + (self.t + self.tableau.c * h) * self.length
        scale = (self.atol[: self.size] + self.rtol * np.abs(self.y[: self.size])) * self.unit[: self.size]
        # the last polynomial goes on
        z = np.zeros((self.tableau.stages, self.size))
        if self.t > self.t_old:
            z = self.dense_output()(self.t + self.tableau.c * h)[: self.size].T * self.unit[: self.size] - y
            if not np.isfinite(z).all() or np.abs(z).max() > 10 * (np.abs(y).max() + scale.max()):
                z = np.zeros((self.tableau.stages, self.size))
        solve = self._solver(step)
        before = np.inf
        for i in range(ITERATIONS):
            self._count(self.tableau.stages, self.t)
            f = self.system.values(t, (y + z).reshape(self.tableau.stages, self.batch, self.d)).reshape(
                self.tableau.stages, -1
            )
            move = solve(step * self.tableau.a @ f - z)
            size = float(np.max(np.abs(move) / scale))
            if not np.isfinite(size):
                return None
            z = z + move
            rounded = 64 * np.finfo(float).eps * float(np.max((np.abs(y) + np.abs(z)) / scale))
            if size <= max(ENOUGH, rounded):
                return z
            if i > 1 and size > 0.8 * before:
                return z if size <= 16 * rounded else None
            before = size
        return None

    def _solver(self, step: float) -> Callable[[Array], Array]:
        """(1 − step self.tableau.a ⊗ F_y)⁻¹, of (stages, size), with F_y at the start."""
        eye = np.eye(self.d)
        matrices = self.tableau.eigenvalues[:, None, None, None] / step * eye - self._slopes
        inverse: AnyArray = _linalg.inv(matrices)

        def solve(r: Array) -> Array:
            turned = (self.tableau.back @ (self.tableau.inverse @ r / step)).reshape(
                self.tableau.stages, self.batch, self.d
            )
            found = np.einsum("sbij,sbj->sbi", inverse, turned).reshape(self.tableau.stages, self.size)
            return (self.tableau.to @ found).real

        return solve

    def _layers(self, h: float, stages: Array, jet: Jet) -> Array:
        """Increments of all of w at the stages, (stages, n), in its own units."""
        w = np.repeat((self.y * self.unit)[None], self.tableau.stages, axis=0)
        out = np.zeros_like(w)
        out[:, : self.size] = stages
        w[:, : self.size] += stages
        if not self.system.layers:
            return out
        step, n = h * self.length, self.tableau.stages * self.d
        slopes = self._of_state(jet)
        # (1 − step a_ij F_y(j)), row by row
        blocks = -step * np.einsum("ij,jbkl->bikjl", self.tableau.a, slopes)
        matrix = np.eye(n) + blocks.reshape(self.batch, n, n)
        for where, columns in self.system.layers:
            # what moves the layer where it stands still at its start
            forced = self.system.rates(jet, w)[:, where]
            right = (step * self.tableau.a @ forced).reshape(self.tableau.stages, self.batch, self.d, columns)
            right = np.moveaxis(right, 1, 0).reshape(self.batch, n, columns)
            with np.errstate(all="ignore"):
                found: Array = _linalg.solve(matrix, right).reshape(self.batch, self.tableau.stages, self.d, columns)
            out[:, where] = np.moveaxis(found, 0, 1).reshape(self.tableau.stages, -1)
            w[:, where] += out[:, where]
        return out

    def _error(self, h: float, whole: Array) -> float:
        """The estimate in units of the tolerance."""
        step = h * self.length
        off = self.tableau.gamma * step * self._rate + self.tableau.errors @ whole
        filtered: Array = _linalg.inv(np.eye(self.d) - self.tableau.gamma * step * self._slopes)
        out = [np.einsum("bij,bj->bi", filtered, off[: self.size].reshape(self.batch, self.d)).ravel()]
        for where, columns in self.system.layers:
            out.append((filtered @ off[where].reshape(self.batch, self.d, columns)).ravel())
        after = self.y + whole[-1] / self.unit
        scale = self.atol + self.rtol * np.maximum(np.abs(self.y), np.abs(after))
        return float(np.max(np.abs(np.concatenate(out)) / self.unit / scale))
