"""The truth about one solve with its bars, as sharp as the error that is to be judged asks for, and no sharper."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from odecheck_reference import by_radau
from odecheck_reference.by_adjoint import Answer
from odecheck_reference.path import OutOfBudget

from . import truth
from .events import EventAnswer
from .field64 import Array, Field64
from .promise import growth_rate

# a bar this much smaller than the error that it stands beside decides about it
SHARP = 0.1
# nothing is sharper than what float64 and two families agree on
FINEST = 1e-10
LAST_RTOL = 1e-13
# operations that have kinks: methods of high order take a step for each
KINKS = ("Relu", "Threshold", "Hardtanh", "Abs", "Clamp", "Maximum", "Minimum", "Max", "Prelu", "Sign", "Hardshrink")
# so many states with kinks, and classical steps that are halved are the quicker way
MANY_KINKS = 64
# a bar of this part of the solution says nothing about it
NO_ANSWER = 0.3
# evaluations granted to the first run of a family
MOST = 6_000
# so many time constants are made in implicit steps at once
STIFF = 500.0
# so many may be, where an explicit method has failed; with fewer, and kinks, it is the kinks
PERHAPS_STIFF = 50.0
# with more states, Jacobians are too dear
MOST_IMPLICIT = 128
# of the steps that are then halved, and how their family is called
MESH_RTOL, IMPLICIT = 1e-4, "Radau IIA, implicit, steps halved"


@dataclass
class Truth:
    """An answer with a bar for each of its numbers' groups, in their own units.

    family: how it was found. rtol: its tolerance, or the number of steps. bars: of "solution", "dL/dy0", "dL/dt",
    "event time" (since the start) and of each leaf. seconds: of the process. mesh: of an implicit family. short: why it
    is no sharper, or nothing.
    """

    answer: Answer
    family: str
    rtol: float
    bars: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    mesh: Array | None = None
    short: str = ""

    @property
    def sharpness(self) -> str:
        """Its tolerance, or its number of steps."""
        return f"at rtol {self.rtol:.0e}" if self.rtol < 1 else f"to {self.rtol:.0f} steps"

    def parts(self) -> dict[str, Array]:
        """The numbers by the names of the bars."""
        return parts_of(self.answer)


def parts_of(answer: Answer) -> dict[str, Array]:
    """The numbers of an answer, by name."""
    out = {"solution": answer.solution}
    if answer.y0 is not None and answer.t is not None:
        out |= {"dL/dy0": answer.y0, "dL/dt": answer.t, **answer.theta}
    if isinstance(answer, EventAnswer):
        out["event time"] = np.array([answer.duration])
    return out


def sharp_enough(aims: Callable[[Truth], dict[str, float]], found: Truth) -> bool:
    """Whether each bar is below the bar that is aimed at."""
    wanted = aims(found)
    return all(found.bars[name] <= aim for name, aim in wanted.items())


def settle(f: Field64, aims: Callable[[Truth], dict[str, float]], *, rtol: float, seconds: float) -> Truth:
    """The truth about a solve.

    Args:
        f: its field.
        aims: from what is known so far, the bar that is wanted for each name, in absolute units.
        rtol: of the user's solve: the first answer is a hundred times sharper.
        seconds: of process time that may be used.

    Raises:
        OutOfBudget: no answer with a bar was found.
    """
    start, before = time.process_time(), f.deadline
    f.deadline = min(before, start + seconds)
    try:
        kinky = f.states >= MANY_KINKS and has_kinks(f)
        found = _halved(f, aims) if kinky else _sharpened(f, aims, rtol)
    finally:
        f.deadline, f.most = before, float("inf")
    size = float(np.abs(found.answer.solution).max(initial=0.0))
    if found.bars["solution"] > NO_ANSWER * size:
        raise OutOfBudget(f"no family of methods has converged: {found.family} {found.sharpness}")
    found.seconds = time.process_time() - start
    return found


def _sharpened(f: Field64, aims: Callable[[Truth], dict[str, float]], rtol: float) -> Truth:
    """By DOP853 at tolerances that fall by a hundred, with Adams formulas beside the last one."""
    rate, decaying = growth_rate(f, lambda _: f.start)
    if decaying and rate * abs(f.times[-1] - f.times[0]) > STIFF and (found := _implicit(f, aims)):
        return found
    at = float(np.clip(rtol * 1e-2, 1e-10, 1e-6))
    start, end = time.process_time(), f.deadline
    f.deadline, f.most = start + 0.4 * (end - start), f.evaluations + MOST
    try:
        before = truth.dop853(f, rtol=at)
    except OutOfBudget:
        f.deadline, f.most = end, float("inf")
        if has_kinks(f) and not (decaying and rate * abs(f.times[-1] - f.times[0]) > PERHAPS_STIFF):
            return _halved(f, aims)
        return _implicit(f, aims) or _halved(f, aims)
    f.deadline, f.most = end, float("inf")
    best: Truth | None = None
    while at > LAST_RTOL:
        at = max(at * 1e-2, LAST_RTOL)
        try:
            now = truth.dop853(f, rtol=at)
            found = Truth(now, "DOP853 and adjoint", at, _distances(now, before))
            if sharp_enough(aims, found) or at <= LAST_RTOL:
                assert now.along is not None
                other = _distances(now, truth.adams(f, now.along, rtol=max(at, 1e-12)))
                found.bars = {name: max(bar, other[name]) for name, bar in found.bars.items()}
                found.family = "DOP853 and VODE Adams, adjoint"
        except OutOfBudget as reason:
            if best is None:
                raise
            best.short = str(reason)
            return best
        best, before = found, now
        if sharp_enough(aims, found):
            return found
    assert best is not None
    best.short = f"at rtol {LAST_RTOL:.0e} float64 ends"
    return best


def _implicit(f: Field64, aims: Callable[[Truth], dict[str, float]]) -> Truth | None:
    """By Radau steps, of a field with few states that an explicit method is too short for; None where it fails."""
    if f.states > MOST_IMPLICIT or f.event is not None:
        return None
    try:
        f.most = f.evaluations + MOST * (1 + f.states)
        mesh = by_radau.mesh(f, rtol=MESH_RTOL)
        f.most = float("inf")
        found = _refined(f, lambda parts: truth.radau(f, mesh=mesh, parts=parts), 1, aims, IMPLICIT)
        found.rtol, found.mesh = found.rtol * (len(mesh) - 1), mesh
    except OutOfBudget:
        return None
    finally:
        f.most = float("inf")
    return found


def _halved(f: Field64, aims: Callable[[Truth], dict[str, float]]) -> Truth:
    """By classical Runge-Kutta, its steps halved until the bar is sharp enough."""
    first = max(8, len(f.times) - 1)
    return _refined(f, lambda steps: truth.rk4(f, steps=steps), first, aims, "RK4, steps halved")


def _refined(
    f: Field64,
    solve: Callable[[int], Answer],
    steps: int,
    aims: Callable[[Truth], dict[str, float]],
    family: str,
) -> Truth:
    """By steps that are halved until the bar is sharp enough. Raises OutOfBudget where there is none with a bar."""
    before, best, first = solve(steps), None, steps
    fell: dict[str, float] = {}
    while True:
        steps *= 2
        try:
            now = solve(steps)
        except OutOfBudget as reason:
            if best is None:
                raise
            best.short = str(reason)
            return best
        gaps = _distances(now, before)
        # where gaps do not fall, what is left is not known to be smaller than the last one
        bars = {k: gap if gap <= fell.get(k, np.inf) / 1.5 else 3 * gap for k, gap in gaps.items()}
        best, before, fell = Truth(now, family, steps, bars), now, gaps
        if sharp_enough(aims, best) and steps > 2 * first:
            return best


def _distances(a: Answer, b: Answer) -> dict[str, float]:
    """The largest difference for each name, and what float64 itself leaves uncertain."""
    one, two = parts_of(a), parts_of(b)
    return {
        name: float(np.abs(x - two[name]).max(initial=0.0)) + 1e-15 * float(np.abs(x).max(initial=0.0))
        for name, x in one.items()
    }


def has_kinks(f: Field64) -> bool:
    """Whether the field's graph, at its start, has operations with kinks."""
    import torch

    with torch.enable_grad():
        y = [x.requires_grad_() for x in f.parts(f.vector(f.start))]
        out = f.value(f.time(f.times[0]), y)
    seen, todo = set(), [out.grad_fn]
    while todo and len(seen) < 10_000:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().removesuffix("Backward0").removesuffix("Backward1").startswith(KINKS):
            return True
        todo += [n for n, _ in node.next_functions]
    return False
