"""The problems on which conformance asks each claim: small ones, most of them shared, some posed for one question."""

from __future__ import annotations

from functools import cache

import numpy as np
from odecheck_reference import Problem, catalogue
from odecheck_reference.fields import Linear, Mlp, Pendulum, Switched
from odecheck_reference.losses import Linear as LinearLoss
from odecheck_reference.losses import SquaredError

TEXTBOOK = catalogue.TEXTBOOK


def _weights(times: int, batch: int, state: int) -> LinearLoss:
    weight = np.random.default_rng(5).uniform(0.5, 1.5, (times, batch, state))
    weight[0] = 0.0
    return LinearLoss(weight)


@cache
def linear() -> Problem:
    """y' = A y + b + c t: linear, moving with time, of a matrix that is not symmetric."""
    return catalogue.quick()[0]


@cache
def network() -> Problem:
    """A tanh network of state and time, with a loss of its own curvature."""
    times = np.array([0.0, 0.5, 1.25])
    seen = np.ones((3, 1, 2))
    seen[0] = 0.0
    return Problem(
        "small tanh network",
        Mlp(2, 2, (2,), "tanh", time=True),
        np.array([[0.75, -0.5]]),
        catalogue.drawn(12, 14, scale=0.8),
        times,
        SquaredError(seen * 1.25, catalogue.drawn(13, 3, 1, 2)),
        None,
        catalogue.NODE,
    )


@cache
def pendulum() -> Problem:
    """A damped pendulum, forced in time, forwards."""
    return Problem(
        "forced pendulum",
        Pendulum(),
        np.array([[1.0, -0.5]]),
        np.array([2.0, 0.25, 0.5, 1.5]),
        np.array([0.25, 0.75, 1.5]),
        _weights(3, 1, 2),
        None,
        TEXTBOOK,
    )


@cache
def curved() -> Problem:
    """The pendulum, with a loss that has a curvature of its own: few parameters, for whole Hessians."""
    seen = np.array([0.0, 1.0, 1.5])[:, None, None] * np.ones((3, 1, 2))
    return pendulum().with_(name="pendulum, squared error", loss=SquaredError(seen, catalogue.drawn(13, 3, 1, 2)))


@cache
def decay() -> Problem:
    """A spiral into the origin."""
    return Problem(
        "decay",
        Linear(2),
        np.array([[1.0, 0.5], [-0.25, 1.0]]),
        np.array([-1.0, 0.5, -0.5, -1.0, 0.0, 0.0]),
        np.array([0.0, 1.0]),
        _weights(2, 2, 2),
        None,
        TEXTBOOK,
    )


@cache
def at_rest() -> Problem:
    """A pendulum without restoring force, damping and drive; a drive would have the angular frequency 20."""
    return Problem(
        "pendulum at rest",
        Pendulum(),
        np.array([[0.5, 0.0]]),
        np.array([0.0, 0.0, 0.0, 20.0]),
        np.array([0.0, 1.0]),
        _weights(2, 1, 2),
        None,
        TEXTBOOK,
    )


@cache
def switched() -> Problem:
    """Growth that turns into decay at a time that no grid meets."""
    return Problem(
        "switched",
        Switched(0.6137),
        np.array([[1.0], [0.5]]),
        np.array([0.75, -1.25]),
        np.array([0.0, 0.5, 1.0, 1.5]),
        _weights(4, 2, 1),
        None,
        TEXTBOOK,
    )


def _ending(name: str, theta: list[float], y0: list[float], last: float) -> Problem:
    return Problem(
        name, Linear(2), np.array([y0]), np.array(theta), np.array([0.25, last]), _weights(2, 1, 2), None, TEXTBOOK
    )


@cache
def falling() -> Problem:
    """A ball thrown upwards, that comes down before the last time and may bounce."""
    return _ending("falling ball", [0.0, 1.0, 0.0, 0.0, 0.0, -2.0], [1.0, 0.5], 2.25)


@cache
def crossing() -> Problem:
    """A point on a straight line, at a constant speed, that meets an axis."""
    return _ending("linear crossing", [0.0, 0.0, 0.0, 0.0, -0.75, 0.5], [1.0, 0.5], 2.25)


@cache
def spiral() -> Problem:
    """A spiral that meets an axis."""
    return _ending("spiral", [-0.25, -1.5, 1.25, -0.125, 0.125, 0.25], [1.0, 0.5], 2.25)


_OWN = {
    "EVT-1": (falling, crossing, spiral),
    "EVT-2": (falling, crossing, spiral),
    "EVT-3": (falling, crossing, spiral),
    "EVT-4": (falling,),
    "SOL-12": (decay,),
    "DER-7": (at_rest,),
    "DER-17": (at_rest, network),
    "DER-8": (switched,),
    "DER-9": (switched,),
}


def problems(claim_id: str) -> tuple[Problem, ...]:
    """The problems on which a claim is asked, by its id."""
    family = (curved,) if claim_id.startswith("HES") else (linear, network)
    return tuple(make() for make in _OWN.get(claim_id, family))
