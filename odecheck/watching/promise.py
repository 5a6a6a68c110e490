"""What a tolerance promises for one solve, from few products with the flow's derivative: no matrix is made.

The promise is that of `odecheck.claims.tolerance`: with N steps, each allowed an error of w = atol + rtol max|y|
(root mean square), and the flow's largest amplification κ, the error is at most κ N w. A step cannot do better than the
numbers it is made in: to w comes the rounding of a state in float32 or float64, eps max|y|. κ is estimated by tangents
and adjoints of random directions, two rounds of power iteration along the solution; it is at least 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from odecheck_reference import Bounded, by_radau
from odecheck_reference.by_adjoint import Answer

from odecheck.judge import Judgement, judge
from odecheck.refinement import GRANTED as SAFETY

from .events import at_event, pulled
from .field64 import Along, Array, Field64
from .repeat import array
from .truth import radau, rk4

ROUNDS = 2
# steps for each time constant, and in all, that a direction is carried along by
RESOLVED, MOST_STEPS = 2.0, 1000
# Butcher's barriers: order → the least number of evaluations in one explicit step; others: one
STAGES = {
    "dopri8": 11,
    "dopri5": 6,
    "tsit5": 6,
    "bosh3": 3,
    "fehlberg2": 2,
    "adaptive_heun": 2,
    "DormandPrince45": 6,
    "Tsitouras45": 6,
    "Dopri5": 6,
    "Tsit5": 6,
    "Heun": 2,
}


@dataclass
class Promise:
    """Errors, root mean square, that are promised for each result: states, gradients by name.

    amplification: κ. rate: the largest growth rate of a direction, ‖∂f/∂y‖ as power iteration finds it. decaying:
    whether that direction decays. unit: κ w, what one step adds to the error of the solution.
    """

    amplification: float
    rate: float
    decaying: bool
    errors: dict[str, float]
    unit: float = 0.0


def promise(
    f: Field64, along: Along, answer: Answer, *, forward: float, backward: float, mesh: Array | None = None
) -> Promise:
    """What is promised at the tolerances of the call.

    Args:
        f: the field.
        along: the solution as a function of time.
        answer: the truth, for the sizes that tolerances are relative to.
        forward: steps that the solver made.
        backward: steps of the backward solve.
        mesh: of implicit steps, for a stiff field.
    """
    posed = f.call.posed
    rate, decaying = growth_rate(f, along)
    if mesh is not None:
        grown = by_radau.growth(f, mesh=mesh)
    else:  # a step that is longer than a time constant makes a direction that decays grow
        steps = max(np.clip(forward, 8, 40), RESOLVED * rate * abs(f.times[-1] - f.times[0]))
        grown = amplification(f, along, int(min(steps, MOST_STEPS)))
    kappa = max(answer.growth, grown)
    relative = posed.rtol + rounding(f.call.start[0].dtype)
    unit = kappa * (posed.atol + relative * float(np.abs(answer.solution).max()))
    errors = {"solution": forward * unit}
    found = _at_the_event(f, answer, forward * unit, errors) if f.event is not None else 0.0
    if answer.y0 is not None and answer.t is not None:
        size = max([float(np.abs(x).max(initial=0.0)) for x in (answer.y0, *answer.theta.values())])
        own = kappa * (posed.atol + relative * size)
        steps, slopes = forward + backward, _slopes(f, _quick(f, forward, mesh), 1e-4 if mesh is None else 1e-7)
        moved = steps * unit * np.sqrt(f.states) + found
        counts = {"dL/dy0": answer.y0.size, "dL/dtheta": sum(x.size for x in answer.theta.values())}
        for name, count in counts.items():
            if count:
                errors[name] = steps * own + slopes[name] * moved / np.sqrt(count)
        w = max(float(torch.linalg.vector_norm(g.double())) for g in f.call.cotangent or ())
        speed = float(np.linalg.norm(f.f(f.times[0], f.start)))
        errors["dL/dt"] = steps * (own * speed + w * max(rate, 1.0) * unit * np.sqrt(f.states))
        if f.event is not None:  # which moves with the start, and the cotangent at it likewise
            pulled_to = pulled(f, array(f.call.rows_of(f.call.cotangent or [])))(answer.solution)
            errors["dL/dt"] *= max(1.0, float(np.linalg.norm(pulled_to)) / max(w, 1e-300))
            errors["dL/dt"] += slopes["dL/dy0"] * moved * speed
    return Promise(kappa, rate, decaying, errors, unit)


def _at_the_event(f: Field64, answer: Answer, off: float, errors: dict[str, float]) -> float:
    """Adds what is promised of an event: returns how far the state there is off by where its time was located.

    The solution's error moves the event by ‖g_y‖ / |g_t + g_y·f| of it, and the state along with it; bisection leaves
    atol, and times have the rounding of their numbers.
    """
    here, call = at_event(f, float(f.times[-1]), answer.solution[-1]), f.call
    dtype = call.times.dtype if call.times.dtype in (torch.float32, torch.float64) else torch.float32
    located = call.posed.atol + 4 * torch.finfo(dtype).eps * float(np.abs(f.times).max())
    time = float(np.linalg.norm(here.y)) * off * np.sqrt(f.states) / abs(here.total) + located
    errors["event time"] = time
    errors["solution"] += float(np.sqrt((here.rate**2).mean())) * time
    return float(np.linalg.norm(here.rate)) * located


def rounding(dtype: torch.dtype) -> float:
    """What a number of float32 or float64 is rounded by, relative; half precision excuses nothing."""
    return torch.finfo(dtype).eps if dtype in (torch.float32, torch.float64) else 0.0


def kept(off: float, bar: float, promised: float) -> tuple[float, Judgement]:
    """A root mean square error and its bar over what was promised, and the verdict: up to SAFETY is granted."""
    used = off / promised if promised > 0 else float("inf")
    observed = Bounded(np.array([max(used, 1.0)]), {"reference": np.array([bar / promised if promised > 0 else 0.0])})
    expected = Bounded(np.ones(1), {"safety": SAFETY - 1.0})
    return used, judge(observed, expected, resolution=2 * SAFETY, scale=1.0)


def amplification(f: Field64, along: Along, steps: int) -> float:
    """κ: the largest growth of a tangent forwards or of an adjoint backwards that power iteration finds, at least 1."""
    grid = np.linspace(f.times[0], f.times[-1], steps + 1)
    draw = np.random.default_rng(0)
    v, largest = draw.standard_normal(f.states), 1.0
    for _ in range(ROUNDS):
        v, grown = _midpoint(lambda t, v: _tangent(f, t, along(t), v), grid, v)
        largest = max(largest, grown)
        v, grown = _midpoint(lambda t, a: -f.vjp(t, along(t), a)[1], grid[::-1], v)
        largest = max(largest, grown)
    return largest


def _midpoint(rhs, grid: Array, v: Array) -> tuple[Array, float]:
    """A direction carried along the grid, and its largest growth on the way. One that dies out has the growth 1."""
    size = float(np.linalg.norm(v))
    v, grown = v / size if size > 0 else v, 1.0
    for t, h in zip(grid[:-1], np.diff(grid), strict=True):
        new = v + h * rhs(t + h / 2, v + h / 2 * rhs(t, v))
        if not np.isfinite(new).all() or np.linalg.norm(new) > 4 * np.linalg.norm(v) * np.exp(1):
            return v, grown  # these steps are too long for a stiff direction
        v, grown = new, max(grown, float(np.linalg.norm(new)))
    return v, grown


def _tangent(f: Field64, t: float, y: Array, v: Array) -> Array:
    """(∂f/∂y) v by a central difference."""
    h = 1e-6 * max(float(np.abs(y).max()), 1e-3) / max(float(np.abs(v).max()), 1e-300)
    return (f.f(t, y + h * v) - f.f(t, y - h * v)) / (2 * h)


def growth_rate(f: Field64, along: Along) -> tuple[float, bool]:
    """The largest ‖(∂f/∂y)ᵀ v‖ at three times after a few rounds, and whether that direction decays."""
    draw, found, decaying = np.random.default_rng(1), 0.0, False
    forwards = 1.0 if f.times[-1] >= f.times[0] else -1.0
    for share in (0.1, 0.5, 0.9):
        t = float(f.times[0] + share * (f.times[-1] - f.times[0]))
        y, v, size, sign = along(t), draw.standard_normal(f.states), 0.0, 0.0
        for _ in range(6):
            v = v / max(float(np.linalg.norm(v)), 1e-300)
            new = f.vjp(t, y, v)[1]
            size, sign = float(np.linalg.norm(new)), float(v @ new)
            v = new
        if size > found:
            found, decaying = size, forwards * sign < -0.5 * size
    return found, decaying


def _quick(f: Field64, forward: float, mesh: Array | None) -> Callable[[], Answer]:
    """A quick answer of the field from where its start is."""
    if mesh is not None:
        return lambda: radau(f, mesh=mesh, parts=1)
    steps = int(np.clip(max(len(f.times) - 1, forward), 8, 200))
    return lambda: rk4(f, steps=steps)


def _slopes(f: Field64, solve: Callable[[], Answer], move: float) -> dict[str, float]:
    """How much the gradients move, per length of a move of the start: ‖∂²L/∂y0²‖ and ‖∂²L/∂y0∂θ‖ by power iteration."""
    start, times = f.start, f.times
    length = move * max(float(np.linalg.norm(start)), 1e-3 * np.sqrt(f.states))
    v, out = np.random.default_rng(2).standard_normal(f.states), {"dL/dy0": 0.0, "dL/dtheta": 0.0}
    base = solve()
    assert base.y0 is not None
    try:
        for _ in range(ROUNDS):
            v = v / max(float(np.linalg.norm(v)), 1e-300)
            f.start = start + length * v
            moved = solve()
            assert moved.y0 is not None
            theta = [np.linalg.norm(moved.theta[k] - base.theta[k]) for k in base.theta]
            v = (moved.y0 - base.y0) / length
            out["dL/dy0"] = max(out["dL/dy0"], float(np.linalg.norm(v)))
            out["dL/dtheta"] = max(out["dL/dtheta"], float(np.linalg.norm(theta)) / length)
            if not v.any():
                break
    finally:
        f.start, f.times = start, times
        if f.event is not None:
            f.event.when = float(times[-1])
    return out
