"""Questions about a solution: its states, their order, how they follow the tolerance, their form and number type."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from odecheck_reference import Problem
from odecheck_reference.bounded import Array

from odecheck.claims.libraries import grids as steps
from odecheck.claims.libraries import outputs
from odecheck.claims.libraries import tolerance as tolerances
from odecheck.claims.libraries.parameters import float32_problem, loosened
from odecheck.claims.papers import convergence, solution
from odecheck.claims.shared import promises
from odecheck.claims.shared import tolerances as shared
from odecheck.engines.script_call import Call
from odecheck.errors import NotApplicable
from odecheck.solvers import FixedStep, GivenSteps, Stepped
from odecheck.subject import Subject

from .question import Question, Variables, finest, index_of, part_of, worst_part


def states(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """SOL-2, SOL-13, SOL-14, SOL-19 to SOL-21: the states themselves."""
    several = {
        "SOL-13": steps.drawn_intervals,
        "SOL-19": outputs.many_times,
        "SOL-20": outputs.pieces,
        "SOL-21": outputs.other_sizes,
    }
    part = steps.turned(problem) if claim_id == "SOL-14" else problem
    if claim_id in several:
        parts = several[claim_id](problem)
        ends = claim_id == "SOL-20"  # of a piece its end alone
        part = worst_part(parts, [p.y0.size if ends else int(np.prod(p.observations)) for p in parts], worst)

    def lines(call: Call) -> list[str]:
        return [f"observed, true = {call.states()}, exact(y0, p, ts)"]

    relative = claim_id == "SOL-21"
    return Question(
        "solution", "state", part, finest(subject), {"lines": lines, "needs_truth": True}, relative=relative
    )


def consistency(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """SOL-6 to SOL-9: two ways of solving that have to give the same."""
    ends = problem.with_(ts=problem.ts[[0, -1]], loss=solution.silent(problem, 2), running=None)

    def there_and_back(call: Call) -> list[str]:
        return [
            f"arrived = {call.states()}[-1]",
            f"observed, true = {call.states('arrived', 'ts[::-1].copy()')}[-1], y0",
        ]

    def in_pieces(call: Call) -> list[str]:
        return [
            "middle = ts[0] + 0.4 * (ts[1] - ts[0])",
            f"half = {call.states('y0', 'np.array([ts[0], middle])')}[-1]",
            f"observed = {call.states('half', 'np.array([middle, ts[1]])')}[-1]",
            f"true = {call.states()}[-1]",
        ]

    def row_by_row(call: Call) -> list[str]:
        return [
            f"observed = np.concatenate([{call.states('y0[i:i + 1]')} for i in range(len(y0))], 1)",
            f"true = {call.states()}",
        ]

    def twice(call: Call) -> list[str]:
        return [f"observed, true = {call.states()}, {call.states()}"]

    lines, what, beside, asked = {
        "SOL-6": (there_and_back, "state, there and back", "start", ends),
        "SOL-7": (in_pieces, "last state, in two pieces", "at once", ends),
        "SOL-8": (row_by_row, "state, row by row", "as a batch", problem),
        "SOL-9": (twice, "state, solved again", "the first time", problem),
    }[claim_id]
    bar = "0.0" if claim_id == "SOL-9" else ""
    at = subject if claim_id == "SOL-9" else finest(subject)
    return Question("solution", what, asked, at, {"lines": lines, "needs_truth": False}, beside=beside, bar=bar)


def order(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """SOL-3, SOL-4, SOL-10, SOL-11: the order of a fixed-step method."""
    solver = subject.solver
    if not isinstance(solver, FixedStep):
        raise NotApplicable("a script is known for the orders of fixed-step methods that have a name")
    cells, at, stated = convergence.cells_of(problem), -1, solver.order
    ts = problem.ts[[0, -1]]
    remainder = steps.REMAINDER if claim_id == "SOL-10" else 0.0
    more: Variables = {"uneven": ""}
    if claim_id == "SOL-4":
        ts, at, stated = np.r_[ts[0], ts[0] + (ts[1] - ts[0]) / 3, ts[1]], 1, solver.dense_order
    if claim_id == "SOL-11":
        cells += cells % 2
        given = GivenSteps(solver.method, known=dict(solver.METHODS))
        subject, more = replace(subject, solver=given), {"uneven": 1 - 2 * steps.UNEVEN}
    length = 1.0 if more["uneven"] else abs(float(ts[-1] - ts[0]))
    more["steps"] = [length / (cells * 2**j + remainder) for j in range(4)]
    asked = problem.with_(ts=ts, loss=solution.silent(problem, len(ts)), running=None)
    return Question("order", "order of convergence", asked, subject, {"at": at, "order": stated, **more})


def tolerance(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """SOL-5: how the error follows the tolerance."""
    solver = shared.adaptive_of(subject)
    ts = cast(Array, np.linspace(problem.ts[0], problem.ts[-1], 2 if shared.lands(subject) else 21))
    tight = np.geomspace(*shared.TOLERANCES[solver.order], 9)[4:]
    ratio = shared.ratio_of(solver)
    asked = problem.with_(ts=ts, loss=solution.silent(problem, len(ts)), running=None)
    return Question(
        "tolerance",
        "power of the tolerance",
        asked,
        subject,
        {"tolerances": [float(f"{x:.3g}") for x in tight], "ratio": ratio},
    )


def promise(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """SOL-18: the states at the tolerance that is exceeded the most."""
    solver = shared.adaptive_of(subject)
    tight = part_of([float(x) for x in np.geomspace(*shared.TOLERANCES[solver.order], 9)], index_of(worst, 8), worst)
    ratio = shared.ratio_of(solver)
    at = replace(subject, solver=solver.with_tolerance(float(tight), float(ratio * tight)))
    asked = tolerances.asked_of(subject, problem)
    granted = promises.SAFETY * promises.of_states(solver, asked, tight) / promises.stages_of(solver)

    def lines(call: Call) -> list[str]:
        return [f"observed, true = {call.states()}, exact(y0, p, ts)"]

    return Question("solution", "state", asked, at, {"lines": lines, "needs_truth": True}, granted=granted)


def decay(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """SOL-12: a solution that decays and must not grow."""
    d = problem.field.state
    solver = subject.solver
    if isinstance(solver, Stepped):
        size = float(np.linalg.norm(problem.theta[: d * d].reshape(d, d), 2))
        subject = replace(subject, solver=solver.with_step(0.025 / size))
    return Question("decay", "growth of a solution that decays", steps.long_decay(problem), subject, {})


def single(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """SOL-15: states in float32."""

    def lines(call: Call) -> list[str]:
        solved = f"solve(Field(p).float(), torch.tensor(y0).float(), torch.tensor(ts).float(), {call.how}).detach()"
        return [
            f"states = {solved}",
            "other = np.full(states.shape, np.nan)  # for another number type",
            "observed = states.double().numpy() if states.dtype == torch.float32 else other",
            "true = exact(y0, p, ts)",
        ]

    return Question(
        "solution",
        "state in float32",
        float32_problem(problem),
        loosened(subject),
        {"lines": lines, "needs_truth": True},
    )


def parts_of(form: str) -> list[str]:
    """The lines of `Parts`, a module that takes its state as a tuple or as complex numbers."""
    cut, whole = {
        "tuple": ("(y[..., 0], y[..., 1:])", "torch.cat([y[0][..., None], y[1]], -1)"),
        "complex": ("torch.view_as_complex(y.reshape(*y.shape[:-1], -1, 2))", "torch.view_as_real(y).flatten(-2)"),
    }[form]
    return [
        f"class Parts(torch.nn.Module):  # the state {'is a tuple' if form == 'tuple' else 'is complex'}",
        "    def __init__(self, inner): super().__init__(); self.inner = inner",
        "    def forward(self, t, y): return cut(self.inner(t.real, whole(y)))",
        f"cut, whole = lambda y: {cut}, lambda y: {whole}",
    ]


def form(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """SOL-16 and SOL-17: states that are tuples, or complex."""
    kind = {"SOL-16": "tuple", "SOL-17": "complex"}[claim_id]

    def lines(call: Call) -> list[str]:
        return [
            *parts_of(kind),
            f"states = solve(Parts(Field(p)), cut(torch.tensor(y0)), torch.tensor(ts), {call.how})",
            "observed, true = whole(states).detach().numpy(), exact(y0, p, ts)",
        ]

    return Question(
        "solution",
        f"state, as {'a tuple' if kind == 'tuple' else 'complex numbers'}",
        problem,
        finest(subject),
        {"lines": lines, "needs_truth": True},
    )
