"""First derivatives of a loss of a solution of a stiff field with few states: Radau steps and their exact derivative.

One step of the three-stage Radau IIA method (order 5, stage order 3, L-stable) solves Y_i = y + h Σ_j a_ij f(t_j, Y_j)
and goes on from Y_3. Its derivative is as exact as float64: with a = dL/dy after the step, J_i = ∂f/∂y at stage i,

    ν_i = δ_i3 a + h J_iᵀ Σ_k a_ki ν_k,    dL/dy before it = Σ_i ν_i,    dL/dtheta += h Σ_i (∂f/∂theta)ᵀ Σ_k a_ki ν_k,

one linear system of 3 n numbers. An explicit method takes a step for each time constant; this one does not. The
mesh is that of scipy's Radau at a loose tolerance, and each of its steps is made in `parts`: halved again and again,
the answers tell how far off they are.

Source: Hairer & Wanner II, sections IV.5 and IV.8; for the derivative of the steps Hager 2000.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.integrate  # pyright: ignore[reportMissingTypeStubs]
import scipy.linalg  # pyright: ignore[reportMissingTypeStubs]

from .bounded import Array
from .by_adjoint import Answer, Cotangents, Pullable, carried_back
from .path import ABSOLUTE, OutOfBudget, scale_of

_linalg: Any = scipy.linalg
_integrate: Any = scipy.integrate
_S = np.sqrt(6.0)
C = np.array([(4 - _S) / 10, (4 + _S) / 10, 1.0])
A = np.array(
    [
        [(88 - 7 * _S) / 360, (296 - 169 * _S) / 1800, (-2 + 3 * _S) / 225],
        [(296 + 169 * _S) / 1800, (88 + 7 * _S) / 360, (-2 - 3 * _S) / 225],
        [(16 - _S) / 36, (16 + _S) / 36, 1 / 9],
    ]
)
# Newton iterations with one Jacobian, and Jacobians for one step
ITERATIONS, JACOBIANS = 20, 4
# steps of a mesh at most
LONGEST_MESH = 3000
SHORT = 1e-4


@dataclass
class _Step:
    """A step from t, h long, and its stages (3, n)."""

    t: float
    h: float
    stages: Array

    def at(self, t: float, y: Array) -> Array:
        """The polynomial of degree 3 through the step's start y and its stages."""
        nodes, values = np.array([0.0, *C]), np.vstack([y, self.stages])
        x, out = (t - self.t) / self.h, np.zeros(len(y))
        for i, node in enumerate(nodes):
            others = [other for j, other in enumerate(nodes) if j != i]
            out += values[i] * np.prod([(x - other) / (node - other) for other in others])
        return out


def mesh(f: Pullable, *, rtol: float) -> Array:
    """Ends of the steps of scipy's Radau, with all times and breaks of the field among them.

    Raises:
        OutOfBudget: it gave up, made too many steps, or the field says so.
    """
    forwards = 1.0 if f.times[-1] >= f.times[0] else -1.0
    inside = [b for b in f.breaks if forwards * f.times[0] < forwards * b < forwards * f.times[-1]]
    ends = sorted({*map(float, f.times), *map(float, inside)}, key=lambda t: forwards * t)
    y, out = f.start, [ends[0]]
    for a, b in pairwise(ends):
        # a start at zero has no size: a small part of how far its slope would lead, which is far where it is stiff
        atol = rtol * ABSOLUTE * max(float(np.abs(y).max()), scale_of(f.f, a, 0 * y, SHORT * (b - a)))
        solver: Any = _integrate.Radau(f.f, a, y, b, rtol=rtol, atol=atol, jac=partial(jacobian, f))
        while solver.status == "running":
            try:
                message = solver.step()
            except ValueError as error:  # of linear algebra that meets what is not finite
                raise OutOfBudget(str(error)) from error
            failed = bool(str(solver.status) == "failed")
            if failed or not np.isfinite(solver.y).all() or len(out) > LONGEST_MESH:
                raise OutOfBudget(message or f"Radau made {len(out)} steps to t = {solver.t:g}")
            out.append(float(solver.t))
        y = solver.y.copy()
    return np.array(out)


def jacobian(f: Pullable, t: float, y: Array) -> Array:
    """∂f/∂y, (n, n), row by row."""
    out = np.stack([f.pull(t, y, row) for row in np.eye(len(y))])
    if not np.isfinite(out).all():
        raise OutOfBudget(f"a derivative was not finite at t = {t:g}")
    return out


def radau(f: Pullable, cotangents: Cotangents | None, *, mesh: Array, parts: int) -> Answer:
    """By Radau IIA on a mesh, each of its steps in parts.

    Args:
        f: the field.
        cotangents: the states (times, n) → dL/dy at each time, (times, n); None for the solution alone.
        mesh: ends of steps, the times of the field among them.
        parts: into how many each step is cut.

    Returns:
        The answer; `path_of` makes the solution a function of time.

    Raises:
        OutOfBudget: Newton's iteration did not converge, or the field says so.
    """
    steps, states = _walked(f, mesh, parts)
    places = {float(t): parts * int(np.argmin(np.abs(mesh - t))) for t in f.times}
    out = Answer(np.stack([states[places[float(t)]] for t in f.times]))
    if cotangents is None:
        return out
    out.theta = f.zeros()

    def back(a: Array, start: float, end: float) -> Array:
        size = float(np.linalg.norm(a))
        for step in reversed(steps[places[end] : places[start]]):
            a = _pulled(f, step, a, out.theta)
        out.growth = max(out.growth, float(np.linalg.norm(a)) / size if size else 1.0)
        return a

    out.y0, out.t, out.adjoints = carried_back(f.f, f.times, cotangents(out.solution), out.solution, back)
    return out


def path_of(f: Pullable, *, mesh: Array, parts: int = 1) -> Callable[[float], Array]:
    """The solution as a function of time, to the accuracy of the mesh."""
    steps, states = _walked(f, mesh, parts)
    ends, forwards = np.array([s.t + s.h for s in steps]), 1.0 if mesh[-1] >= mesh[0] else -1.0

    def at(t: float) -> Array:
        i = min(int(np.searchsorted(forwards * ends, forwards * t)), len(steps) - 1)
        return steps[i].at(t, states[i])

    return at


def growth(f: Pullable, *, mesh: Array, directions: int = 3, seed: int = 0) -> float:
    """The largest growth of a few random adjoints on their way back, at least 1.

    Args:
        f: the field.
        mesh: ends of steps.
        directions: how many; the largest of all directions is within about √n of them.
        seed: of the directions.
    """
    steps, _ = _walked(f, mesh, 1)
    draw, most = np.random.default_rng(seed), 1.0
    for _ in range(directions):
        a = draw.standard_normal(len(f.start))
        a /= np.linalg.norm(a)
        for step in reversed(steps):
            a = _pulled(f, step, a, {})
            most = max(most, float(np.linalg.norm(a)))
    return most


def _walked(f: Pullable, mesh: Array, parts: int) -> tuple[list[_Step], list[Array]]:
    steps, states = list[_Step](), [f.start]
    for a, b in pairwise(mesh.tolist()):
        for k in range(parts):
            h = (b - a) / parts
            steps.append(_stepped(f, a + k * h, h, states[-1]))
            states.append(steps[-1].stages[-1])
    return steps, states


def _stepped(f: Pullable, t: float, h: float, y: Array) -> _Step:
    """The stages, by Newton's iteration with a Jacobian that is renewed where it does not contract."""
    n, at, z = len(y), t + h, np.zeros((3, len(y)))
    for _ in range(JACOBIANS):
        lu = _linalg.lu_factor(np.eye(3 * n) - h * np.kron(A, jacobian(f, at, y + z[-1])))
        before = np.inf
        for _ in range(ITERATIONS):
            slopes = np.stack([f.f(t + c * h, y + one) for c, one in zip(C, z, strict=True)])
            move = _linalg.lu_solve(lu, (h * A @ slopes - z).ravel()).reshape(3, n)
            size = float(np.abs(move).max())
            if not np.isfinite(size):
                raise OutOfBudget(f"a value was not finite at t = {t:g}")
            if size > 0.5 * before:
                break
            z, before = z + move, size
            if size <= 1e-15 * float(np.abs(y).max(initial=0.0)):
                break
        # the moves end at rounding
        if before <= 1e-10 * max(float(np.abs(y + z).max()), float(np.abs(z).max())):
            return _Step(t, h, y + z)
    raise OutOfBudget(f"Newton's iteration did not converge at t = {t:g}")


def _pulled(f: Pullable, step: _Step, a: Array, sums: dict[str, Array]) -> Array:
    """dL/dy before a step from that after it; its share of dL/dtheta is added to the sums."""
    n = len(a)
    at = [step.t + c * step.h for c in C]
    turned = [jacobian(f, t, y).T for t, y in zip(at, step.stages, strict=True)]
    matrix = np.eye(3 * n)
    for i, one in enumerate(turned):
        for k in range(3):
            matrix[i * n : (i + 1) * n, k * n : (k + 1) * n] -= step.h * A[k, i] * one
    given = np.concatenate([np.zeros(2 * n), a])
    nu = np.linalg.solve(matrix, given).reshape(3, n)
    if sums:
        for t, y, weight in zip(at, step.stages, step.h * A.T @ nu, strict=True):
            for name, g in f.gather(t, y, weight).items():
                sums[name] += g
    return nu.sum(0)
