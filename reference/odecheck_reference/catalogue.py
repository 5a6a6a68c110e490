"""Named problems with their sources: what `odecheck verify` asks when nobody brings a problem of their own.

Parameters are drawn once from a seeded generator and rounded to 1/64, so that they can be typed.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from .bounded import Array
from .fields import (
    Adam,
    Augmented,
    Field,
    GeneralisedHeavyBall,
    HeavyBall,
    Linear,
    Logistic,
    Lorenz,
    LotkaVolterra,
    Mlp,
    Pendulum,
    SecondOrder,
    VanDerPol,
)
from .losses import CrossEntropy, LogCosh, Loss, QuadraticCost, SquaredError
from .losses import Linear as LinearLoss
from .problem import Problem

NODE = "arXiv:1806.07366, neural ordinary differential equations"
ANODE = "arXiv:1904.01681, augmented neural ODEs"
SONODE = "arXiv:2006.07220, second-order neural ODEs"
HBNODE = "arXiv:2110.04840, heavy-ball neural ODEs"
ADAMNODE = "arXiv:2207.06066, AdamNODE"
TEXTBOOK = "Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I"
TIMES = (0.0, 0.5, 1.25)


def drawn(seed: int, *shape: int, scale: float = 1.0) -> Array:
    """Normal numbers of a seeded generator, rounded to 1/64."""
    numbers = np.random.default_rng(seed).standard_normal(shape) * scale
    return np.round(numbers * 64) / 64


def _loss(kind: str, times: int, batch: int, state: int) -> Loss:
    """A loss on all observations but the start, of every kind by name."""
    seen = np.ones((times, batch, state))
    seen[0] = 0.0
    weight = seen * np.abs(drawn(1, times, batch, state) + 1.5)
    target = drawn(2, times, batch, state)
    match kind:
        case "linear":
            return LinearLoss(seen * drawn(3, times, batch, state))
        case "squared error":
            return SquaredError(weight, target)
        case "log-cosh":
            return LogCosh(weight, target)
        case _:
            label = np.random.default_rng(4).integers(0, state, (times, batch))
            return CrossEntropy(weight[..., 0], label)


def _problem(
    name: str,
    source: str,
    field: Field,
    loss: str,
    *,
    batch: int = 2,
    seed: int = 0,
    scale: float = 0.7,
    theta: Array | None = None,
    y0: Array | None = None,
    ts: tuple[float, ...] = TIMES,
    running: QuadraticCost | None = None,
) -> Problem:
    start = drawn(seed + 100, batch, field.state, scale=0.8) if y0 is None else y0
    parameters = drawn(seed, field.params, scale=scale) if theta is None else theta
    losses = _loss(loss, len(ts), len(start), field.state)
    return Problem(name, field, start, parameters, np.array(ts), losses, running, source)


@cache
def quick() -> tuple[Problem, ...]:
    """Four problems that between them have every kind of thing that goes wrong: a state that is not symmetric, time in
    the field, interior observations, several rows, an integral term, decreasing times, named parts."""
    return (
        _problem("linear with time", TEXTBOOK, Linear(2, time=True), "linear", seed=1),
        _problem(
            "tanh network", NODE, Mlp(2, 2, (4,), "tanh", time=True), "squared error", seed=2, running=QuadraticCost()
        ),
        _problem("heavy ball", HBNODE, HeavyBall(Mlp(2, 2, (3,), "tanh", time=True)), "log-cosh", seed=3),
        _problem(
            "forced pendulum, backwards",
            TEXTBOOK,
            Pendulum(),
            "squared error",
            y0=np.array([[1.0, -0.5]]),
            theta=np.array([2.0, 0.25, 0.5, 1.5]),
            ts=(1.5, 0.75, 0.25),
        ),
    )


@cache
def full() -> tuple[Problem, ...]:
    """The quick problems and one for every other field, loss and activation."""
    adam_start = np.concatenate([drawn(9, 2, 2), drawn(10, 2, 2, scale=0.3), np.abs(drawn(11, 2, 2)) + 0.5], axis=1)
    return (
        *quick(),
        _problem("sine network", NODE, Mlp(2, 2, (4, 3), "sine", time=True), "linear", seed=4),
        _problem("softplus network", NODE, Mlp(3, 3, (4,), "softplus"), "cross-entropy", seed=5),
        _problem("gelu network", NODE, Mlp(2, 2, (5,), "gelu", time=True), "log-cosh", seed=6),
        _problem("augmented", ANODE, Augmented(Mlp(3, 3, (4,), "tanh"), 1), "cross-entropy", seed=7),
        _problem("second order", SONODE, SecondOrder(Mlp(4, 2, (4,), "tanh", time=True)), "squared error", seed=8),
        _problem("generalised heavy ball", HBNODE, GeneralisedHeavyBall(Mlp(2, 2, (3,), "tanh")), "linear", seed=9),
        _problem("adam", ADAMNODE, Adam(Mlp(2, 2, (3,), "tanh")), "squared error", seed=10, y0=adam_start),
        _problem(
            "logistic", TEXTBOOK, Logistic(), "squared error", y0=np.array([[0.25], [0.5]]), theta=np.array([1.5, 2.0])
        ),
        _problem(
            "Lotka-Volterra",
            TEXTBOOK,
            LotkaVolterra(),
            "linear",
            y0=np.array([[1.0, 0.5]]),
            theta=np.array([1.5, 1.0, 1.0, 0.75]),
            running=QuadraticCost(),
        ),
        _problem("Van der Pol", TEXTBOOK, VanDerPol(), "log-cosh", y0=np.array([[1.0, 0.5]]), theta=np.array([1.5])),
        _problem(
            "Lorenz",
            TEXTBOOK,
            Lorenz(),
            "linear",
            y0=np.array([[1.0, 2.0, 20.0]]),
            theta=np.array([10.0, 28.0, 8 / 3]),
            ts=(0.0, 0.1, 0.3),
        ),
    )


TIERS = {"quick": quick, "full": full}
