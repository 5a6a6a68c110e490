"""Every quantity of the reference in 30 digits and by other formulas: the truth its error bars have to cover.

Here an observation is y_i = Y(t_i − t0; t0, y0, theta): the flow of the autonomous system in (t, y), whose start t0 is
a variable like any other. So all derivatives in the times follow from the derivatives of Y in zeta = (t0, y0, theta),
given by `collocation` or `closed_form`, and from Y' = F, by a linear change of variables. The formulas of
`sensitivity` are not used.

All results are arrays of mpmath numbers; nothing here has an error bar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath  # pyright: ignore[reportMissingTypeStubs]
import numpy as np

from .closed_form import closed_flow, has_closed_form
from .collocation import DIGITS, Flow, exactly, flow
from .fields.field import AnyArray
from .problem import Problem
from .sensitivity import with_cost_as_state

mp: Any = mpmath


@dataclass(frozen=True, eq=False)
class Exact:
    """A problem solved in 30 digits, with the derivatives of its flow up to `order`. Make one with `solve`.

    problem: with its integral term as a last state. state: components of y without that one.
    """

    problem: Problem
    state: int
    flow: Flow

    def solution(self) -> AnyArray:
        """(times, batch, state)"""
        return self.flow.y[..., : self.state]

    def loss(self) -> Any:
        with mp.workdps(DIGITS):
            return self.problem.loss.value(self.flow.y)

    def transition(self) -> AnyArray:
        """dy(ts[i])/dy(ts[0]): (times, batch, state, state)"""
        return self._of_start()[..., : self.state, : self.state]

    def gradient(self) -> AnyArray:
        """dL in (y0, theta, ts), one after the other: (batch · state + params + times,)."""
        with mp.workdps(DIGITS):
            slopes = self.problem.loss.gradient(self.flow.y)

            def block(i: int, b: int) -> AnyArray:
                return slopes[i, b] @ self._first(i, b)

            return self._collect(block, 1)

    def hessian(self) -> AnyArray:
        """The second derivatives of L in (y0, theta, ts)."""
        return self._second(curved=True)

    def gauss_newton(self) -> AnyArray:
        """Xᵀ Φ_yy X, X = dy(ts)/d(y0, theta, ts)."""
        return self._second(curved=False)

    def adjoint_states(self) -> AnyArray:
        """dL/dy(t_i), the observation at t_i included: (times, batch, state), as M_iᵀ a_i = Σ_{j ≥ i} M_jᵀ Φ_{y_j}."""
        with mp.workdps(DIGITS):
            slopes, m = self.problem.loss.gradient(self.flow.y), self._of_start()
            pulled = np.einsum("tbij,tbi->tbj", m, slopes)
            later = np.cumsum(pulled[::-1], axis=0)[::-1]
            result = np.empty_like(later)
            for i, b in np.ndindex(later.shape[:2]):
                result[i, b] = list(mp.lu_solve(mp.matrix(m[i, b].T.tolist()), mp.matrix(list(later[i, b]))))
            return result[..., : self.state]

    def volume(self) -> AnyArray:
        """det dy(ts[-1])/dy(ts[0]) of every row: (batch,)"""
        with mp.workdps(DIGITS):
            return np.array([_determinant(m) for m in self.transition()[-1]], dtype=object)

    def _of_start(self) -> AnyArray:
        assert self.flow.first is not None
        return self.flow.first[..., 1 : 1 + self.problem.field.state]

    def _second(self, *, curved: bool) -> AnyArray:
        with mp.workdps(DIGITS):
            slopes, bends = self.problem.loss.gradient(self.flow.y), self.problem.loss.hessian(self.flow.y)

            def block(i: int, b: int) -> AnyArray:
                x = self._first(i, b)
                result = x.T @ bends[i, b] @ x
                return result + np.tensordot(slopes[i, b], self._curvature(i, b), axes=1) if curved else result

            return self._collect(block, 2)

    # one observed row, in its own variables (t0, y0 of the row, theta, t_i)

    def _jet(self, i: int, b: int, order: int) -> Any:
        t = mp.mpf(float(self.problem.ts[i]))
        return self.problem.field.jet(t, self.flow.y[i, b : b + 1], exactly(self.problem.theta), order)

    def _moved(self, i: int, b: int) -> AnyArray:
        """d(t, y, theta)/dzeta along the flow: the identity with the derivatives of Y in the rows of y."""
        assert self.flow.first is not None
        d = self.problem.field.state
        z = exactly(np.eye(self.flow.first.shape[-1]))
        z[1 : 1 + d] = self.flow.first[i, b]
        return z

    def _first(self, i: int, b: int) -> AnyArray:
        assert self.flow.first is not None
        return self._changed(np.concatenate([self.flow.first[i, b], self._jet(i, b, 0).value[0][:, None]], axis=1))

    def _curvature(self, i: int, b: int) -> AnyArray:
        assert self.flow.second is not None
        jet, d = self._jet(i, b, 1), self.problem.field.state
        rate = jet.first[0] @ self._moved(i, b)  # d2Y / dτ dzeta
        along = (jet.first[0][:, 1 : 1 + d] @ jet.value[0])[:, None]  # d2Y / dτ2 at fixed t0 leaves F_t to be added
        along = along + jet.first[0][:, :1]
        rows = [np.concatenate([s2, r[:, None]], axis=1) for s2, r in zip(self.flow.second[i, b], rate, strict=True)]
        last = [np.concatenate([r, a])[None] for r, a in zip(rate, along, strict=True)]
        whole = np.stack([np.concatenate([top, bottom]) for top, bottom in zip(rows, last, strict=True)])
        return np.swapaxes(self._changed(np.swapaxes(self._changed(whole), -1, -2)), -1, -2)

    @staticmethod
    def _changed(block: AnyArray) -> AnyArray:
        """From derivatives in (zeta, τ) to derivatives in (zeta, t_i), along the last axis: τ = t_i − t0."""
        out = block.copy()
        out[..., 0] = out[..., 0] - block[..., -1]
        return out

    def _collect(self, part: Callable[[int, int], AnyArray], axes: int) -> AnyArray:
        """Add up the parts of all observations and rows in the variables of the whole problem."""
        p, d, kept_state = self.problem, self.problem.field.state, self.state
        n, rows = p.field.params, p.batch * self.state
        total = np.full((rows + n + len(p.ts),) * axes, mp.mpf(0), dtype=object)
        kept = np.r_[0, 1 : 1 + kept_state, 1 + d : 1 + d + n, 1 + d + n]
        for i, b in np.ndindex(len(p.ts), p.batch):
            at = np.r_[rows + n, b * kept_state : (b + 1) * kept_state, rows : rows + n, rows + n + i]
            block = part(i, b)[np.ix_(*(kept,) * axes)]
            if i == 0:  # t_i is t0 itself: its two columns fall together
                for axis in range(axes):
                    block = np.moveaxis(block, axis, 0)
                    block[0] = block[0] + block[-1]
                    block = np.moveaxis(block[:-1], 0, axis)
                at = at[:-1]
            total[np.ix_(*(at,) * axes)] += block
        return total


def _determinant(matrix: AnyArray) -> Any:
    """By expansion along the first row: exact enough for any scale of the entries, and the matrices are small."""
    if len(matrix) == 1:
        return matrix[0, 0]
    minors = (np.delete(matrix[1:], j, axis=1) for j in range(len(matrix)))
    return sum((-1) ** j * matrix[0, j] * _determinant(minor) for j, minor in enumerate(minors))


def solve(problem: Problem, *, order: int) -> Exact:
    """The flow of a problem to 30 digits: in closed form where there is one, by collocation otherwise.

    Raises ExactError when it cannot be followed.
    """
    extended = with_cost_as_state(problem)
    method = closed_flow if has_closed_form(extended.field) else flow
    found = method(extended.field, extended.theta, extended.y0, extended.ts, order=order)
    return Exact(extended, problem.field.state, found)
