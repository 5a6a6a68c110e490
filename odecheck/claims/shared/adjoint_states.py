"""The subject's adjoint states along a trajectory: what it gives as dL/dy(t) when it starts at t."""

from __future__ import annotations

import numpy as np
from odecheck_reference import Problem, solution
from odecheck_reference.bounded import Array
from odecheck_reference.looked import kept
from odecheck_reference.losses import Linear

from odecheck.subject import Subject


@kept(64)
def unit_losses(problem: Problem) -> tuple[Problem, ...]:
    """From every time but the last on: every row once for each of its components as a loss at the last time.

    Row b · state + k belongs to row b of the problem and the loss y_k(T). One gradient of such a
    problem is all of dy(T)/dy(t).
    The starts are the reference's states. Kept, so that all claims share what the subject computes.
    """
    states, d = solution(problem).value, problem.field.state
    last = np.tile(np.eye(d), (problem.batch, 1))
    return tuple(
        problem.with_(
            name=f"{problem.name}, dy(T)/dy(t[{i}])",
            y0=np.repeat(states[i], d, axis=0),
            ts=problem.ts[[i, -1]],
            loss=Linear(np.stack([np.zeros_like(last), last])),
            running=None,
        )
        for i in range(len(problem.ts) - 1)
    )


def adjoint_states(subject: Subject, problem: Problem) -> Array:
    """a[i, b, k] = d y_k(T) / d y(t_i) of row b, for all times but the last: (times − 1, batch, state, state)."""
    d = problem.field.state
    return np.stack([subject.gradient(part).y0.reshape(problem.batch, d, d) for part in unit_losses(problem)])


@kept(64)
def early(problem: Problem, fraction: float) -> Problem:
    """The first part of the problem's interval, looked at by no loss."""
    end = problem.ts[0] + fraction * (problem.ts[-1] - problem.ts[0])
    silent = Linear(np.zeros((2, *problem.y0.shape)))
    return problem.with_(ts=np.array([problem.ts[0], end]), loss=silent, running=None)


@kept(64)
def ended(problem: Problem) -> tuple[Problem, ...]:
    """The problem with the slope of its own loss at the last time as the only loss, from every time but the last on."""
    states = solution(problem).value
    slope = problem.loss.gradient(states)[-1]
    loss = Linear(np.stack([np.zeros_like(slope), slope]))
    return tuple(
        problem.with_(name=f"{problem.name} from t[{i}]", y0=y, ts=problem.ts[[i, -1]], loss=loss, running=None)
        for i, y in enumerate(states[:-1])
    )
