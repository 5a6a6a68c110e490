"""Events: the time at which the first component vanishes, the state there, their derivatives (claims EVT-1 to EVT-4).

With y(τ; z) the flow τ after t0, z = (t0, y0, theta), and φ(y) = c·y the event, τ(z) is defined by φ(y(τ; z)) = 0. Then

    τ_z  = −c·y_z / c·y'                 τ_zw = −(c·y_zw + c·y'_z τ_w + c·y'_w τ_z + c·y'' τ_z τ_w) / c·y'
    Y_z  = y_z + y' τ_z                  Y_zw = y_zw + y'_z τ_w + y'_w τ_z + y'' τ_z τ_w + y' τ_zw

for the event's time T = t0 + τ and its state Y = y(τ; z), with y' = F, y'' = F_t + F_y F,
y'_z = F_y y_z + F_z. A linear field's flow has a closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from odecheck_reference import Bounded, Problem
from odecheck_reference.bounded import Array
from odecheck_reference.closed_form import closed_flow
from odecheck_reference.fields import Linear
from odecheck_reference.looked import kept
from torch import Tensor, nn

from odecheck.claim import claim, family
from odecheck.claims.shared.graph import refusals
from odecheck.engines.base import events_of, graph_of
from odecheck.errors import NotApplicable
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import usage as broken
from odecheck.mutants.base import wrong_field
from odecheck.refinement import ladder
from odecheck.solvers import Adaptive
from odecheck.subject import Subject, to_numpy

EVT = family("EVT", title="What events of a library promise", order=130, topic="use")
SOURCE = "implicit function theorem, applied to φ(y(T)) = 0"
ELASTICITY = 0.75
LOCATED = 1e-6
# how much larger than the first derivatives' relative error that of the second may be
AMPLIFIED = 1e3
FASTER = wrong_field("field times 1.2", lambda f, t, y: 1.2 * f(t, y))


def first_component(t: Tensor, y: Tensor) -> Tensor:
    """φ: the first component of the only row."""
    return y[0, 0]


@dataclass(frozen=True, eq=False)
class Event:
    """Time and state at the event with their derivatives in z = (t0, y0, theta), in float64 from 30 digits.

    time: T, (size,), (size, size). state: (d,), (d, size), (d, size, size).
    """

    time: tuple[float, Array, Array]
    state: tuple[Array, Array, Array]


def _floats(x: Any) -> Array:
    return np.asarray(x, dtype=np.float64)


@kept(16)
def event_of(problem: Problem) -> Event:
    """The first event between the problem's two times. Raises NotApplicable for another problem than a linear one."""
    field, d = problem.field, problem.field.state
    if not isinstance(field, Linear) or problem.batch != 1 or len(problem.ts) != 2:
        raise NotApplicable("speaks of one row of a linear field, whose first component vanishes between two times")
    sign = np.sign(problem.y0[0, 0])
    start = problem.ts[0]

    def flow(t: float, order: int) -> Any:
        return closed_flow(field, problem.theta, problem.y0, np.array([start, t]), order=order)

    tries = np.linspace(start, problem.ts[1], 33)[1:]
    states = _floats(closed_flow(field, problem.theta, problem.y0, np.r_[start, tries], order=0).y)[1:, 0, 0]
    crossed = np.flatnonzero(states * sign <= 0)
    if not len(crossed) or sign == 0:
        raise NotApplicable("the first component does not vanish between the two times")
    t = float(tries[crossed[0]])
    for _ in range(8):  # Newton's method doubles the digits
        y = _floats(flow(t, 0).y)[1]
        t -= float(y[0, 0] / field.jet(t, y, problem.theta, 0).value[0, 0])
    return _differentiated(problem, t, flow(t, 2), d)


def _differentiated(problem: Problem, t: float, flow: Any, d: int) -> Event:
    y = _floats(flow.y)[1, 0]
    of_z, of_zz = _floats(flow.first)[1, 0], _floats(flow.second)[1, 0]
    jet = problem.field.jet(t, y[None], problem.theta, 1)
    assert jet.first is not None
    rate, slope = jet.value[0], jet.first[0]
    f_y = slope[:, 1 : 1 + d]
    f_z = np.concatenate([slope[:, :1], np.zeros((d, d)), slope[:, 1 + d :]], axis=1)
    bend, rate_z = slope[:, 0] + f_y @ rate, f_y @ of_z + f_z
    time_z = -of_z[0] / rate[0]
    moved = of_zz + rate_z[:, :, None] * time_z + rate_z[:, None, :] * time_z[:, None]
    moved = moved + bend[:, None, None] * np.outer(time_z, time_z)
    time_zz = -moved[0] / rate[0]
    of_start = np.eye(len(time_z))[0]
    return Event(
        (t, of_start + time_z, time_zz), (y, of_z + np.outer(rate, time_z), moved + rate[:, None, None] * time_zz)
    )


Solved = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]


def _at_event(subject: Subject, problem: Problem, action: Callable[..., Array]) -> Array:
    """action(find, module, t0, y0), where find(...) gives the time and state of the event, attached."""
    engine = events_of(subject.engine)
    plain = replace(subject.solver, land=False) if isinstance(subject.solver, Adaptive) else subject.solver

    def run(module: nn.Module, y0: Tensor, ts: Tensor, loss: object) -> Array:
        t0, start = ts[0].clone().requires_grad_(), y0.requires_grad_()
        with refusals(subject):
            time, state = engine.event(module, plain, start, t0, first_component)
            return action(time, state[0], [t0, start, *module.parameters()])

    return subject.observe(problem, run)


def _gradients(value: Tensor, leaves: list[Tensor], **how: Any) -> Tensor:
    found: Any = torch.autograd.grad(value, leaves, allow_unused=True, **how)
    return torch.cat(
        [(torch.zeros_like(x) if g is None else g).reshape(-1) for g, x in zip(found, leaves, strict=True)]
    )


def _located(value: Array) -> Bounded:
    """An expected value. An event is located to a tolerance of its own, which no refinement of the steps makes less."""
    return Bounded(value, {"location of the event": LOCATED * float(np.max(np.abs(value)))})


@claim("EVT-1", source="definition of the event", resolution=2e-3, mutants=[broken.EVENT_LATE, wrong.SCALED_FIELD])
def time_and_state(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The time at which the first component vanishes and the state at that time are right."""
    exact = event_of(problem)

    def observe(time: Tensor, state: Tensor, leaves: list[Tensor]) -> Array:
        return np.r_[to_numpy(time), to_numpy(state)]

    return (ladder(subject, lambda s: _at_event(s, problem, observe)), _located(np.r_[exact.time[0], exact.state[0]]))


def _slopes(time: Tensor, state: Tensor, leaves: list[Tensor]) -> Array:
    return np.stack([to_numpy(_gradients(x, leaves, retain_graph=True)) for x in (time, *state)])


@claim(
    "EVT-2",
    source=SOURCE,
    resolution=2e-3,
    mutants=[broken.EVENT_TIME_DETACHED, broken.EVENT_STATE_OF_FIXED_TIME, wrong.SCALED_FIELD],
)
def first_derivatives(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Derivatives of the event's time, and of each component of its state, in t0, y0 and theta are right.

    The state moves in two ways: as the flow at a fixed time does, and because the time moves.
    """
    exact = event_of(problem)

    return (
        ladder(subject, lambda s: _at_event(s, problem, _slopes)),
        _located(np.stack([exact.time[1], *exact.state[1]])),
    )


@claim("EVT-3", source=SOURCE, resolution=5e-2, mutants=[broken.EVENT_LINEARISED, FASTER])
def second_derivatives(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Hessians of the event's time and of ½ |state|² there, in t0, y0 and theta, are right.

    The bar is a thousand times the relative error of the first derivatives, which their refinement shows: wrong second
    derivatives need not have a limit that they could be refined to.
    """
    exact = event_of(problem)
    y, y_z, y_zz = exact.state
    energy = y_z.T @ y_z + np.einsum("i,ipq->pq", y, y_zz)

    def observe(time: Tensor, state: Tensor, leaves: list[Tensor]) -> Array:
        matrices: list[Tensor] = []
        for value in (time, state.square().sum() / 2):
            slope = _gradients(value, leaves, create_graph=True)
            if not slope.requires_grad:  # a constant: its derivative is zero
                slope = slope + 0 * torch.stack([x.sum() for x in leaves]).sum()
            matrices.append(torch.stack([_gradients(g, leaves, retain_graph=True) for g in slope]))
        return to_numpy(torch.stack(matrices))

    first = ladder(subject, lambda s: _at_event(s, problem, _slopes))
    expected = _located(np.stack([exact.time[2], energy]))
    relative = float(np.max(first.radius)) / float(np.max(np.abs(exact.state[1])))
    size = float(np.max(np.abs(expected.value)))
    finest = subject.refined().refined()
    observed = _at_event(finest, problem, observe)
    return Bounded(observed, {"truncation of the first derivatives, amplified": AMPLIFIED * relative * size}), expected


def _bounced(x: complex, v: complex, g: complex, start: float, end: float) -> tuple[complex, complex]:
    """Position and speed at the end of a fall from (x, v) under g that bounces once with the elasticity.

    It meets the ground with the speed s = √(v² + 2 g x), at start + (v + s) / g, and leaves it with e s.
    """
    speed = np.sqrt(v * v + 2 * g * x)
    left = end - start - (v + speed) / g
    return ELASTICITY * speed * left - g * left * left / 2, ELASTICITY * speed - g * left


@claim(
    "EVT-4",
    source="closed form of a bouncing ball",
    resolution=2e-3,
    mutants=[broken.EVENT_TIME_DETACHED, broken.EVENT_STATE_OF_FIXED_TIME, broken.EVENT_LATE],
)
def across_a_bounce(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A ball that falls, bounces at the event and flies on: position, speed and their derivatives are right.

    Compared at the problem's last time, in the first position, the first speed and gravity. The second solve starts at
    the event's time, with the speed turned round.
    """
    field = problem.field
    if not isinstance(field, Linear) or problem.theta[:4].tolist() != [0.0, 1.0, 0.0, 0.0] or problem.theta[4] != 0:
        raise NotApplicable("speaks of a ball in free fall: x' = v, v' = −g")
    event_of(problem)
    given = np.r_[problem.y0[0], -problem.theta[5]]
    step = 1e-30  # a complex step loses no digits
    rows = [_bounced(*(given + 1j * step * unit), *problem.ts) for unit in np.eye(3)]
    value = np.real(np.array(rows[0]))
    expected = np.concatenate([value, (np.imag(np.array(rows)) / step).T.ravel()])

    def observe(s: Subject) -> Array:
        def after(time: Tensor, state: Tensor, leaves: list[Tensor]) -> Array:
            start = torch.stack([0 * state[0], -ELASTICITY * state[1]])[None]
            end = torch.stack([time.reshape(()), torch.as_tensor(problem.ts[1], dtype=time.dtype)])
            final = graph_of(s.engine).attached(modules[-1], s.solver, start, end)[-1, 0]
            slopes = [to_numpy(_gradients(x, leaves, retain_graph=True)) for x in final]
            return np.r_[to_numpy(final), *(np.r_[g[1:3], -g[-1]] for g in slopes)]

        modules = [s.module(problem)]
        return _at_event(replace(s, field=lambda _: modules[-1]), problem, after)

    return ladder(subject, observe), _located(expected)
