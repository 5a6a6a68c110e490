"""Numpy fields with every option, and random points to compare them at."""

from __future__ import annotations

import numpy as np
import pytest
from odecheck_reference.fields import (
    ACTIVATIONS,
    Adam,
    Augmented,
    Field,
    Fixed,
    Free,
    GeneralisedHeavyBall,
    GradientFlow,
    HeavyBall,
    Learnt,
    Linear,
    Logistic,
    Lorenz,
    LotkaVolterra,
    Mlp,
    OfTime,
    Pendulum,
    SecondOrder,
    VanDerPol,
)

NET = Mlp(2, 2, (3,), time=True)
CLOCK = OfTime(Mlp(0, 1, (2,), time=True), scale=0.8)
AFFINE_CLOCK = OfTime(Mlp(0, 1, time=True), activation="softplus")

FIELDS: dict[str, Field] = {
    "linear": Linear(3),
    "linear in time": Linear(2, time=True),
    "affine network": Mlp(2, 2),
    "deep network": Mlp(2, 2, (4, 3, 2)),
    **{f"network {name}": Mlp(2, 2, (3, 4), name, time=True) for name in ACTIVATIONS},
    "gradient": GradientFlow(2, 3),
    "gradient of softplus": GradientFlow(3, 2, "softplus"),
    "augmented": Augmented(Mlp(3, 3, (4,), time=True), extra=1),
    "second order in x": SecondOrder(NET),
    "second order in x and v": SecondOrder(Mlp(4, 2, (3,), "softplus", time=True)),
    "heavy ball": HeavyBall(NET),
    "heavy ball, free damping": HeavyBall(NET, Free()),
    "heavy ball, fixed damping": HeavyBall(NET, Fixed(0.7)),
    "heavy ball, damping of time": HeavyBall(Mlp(2, 2, (3,)), CLOCK),
    "heavy ball, affine damping of time": HeavyBall(NET, AFFINE_CLOCK),
    "heavy ball, signs of the code": HeavyBall(NET, Learnt(scale=0.5), signs="code"),
    "heavy ball of a gradient": HeavyBall(GradientFlow(2, 3), Free()),
    "heavy ball of a linear field": HeavyBall(Linear(2), Free()),
    "generalised heavy ball": GeneralisedHeavyBall(NET),
    "generalised, signs of the code": GeneralisedHeavyBall(NET, Free(), Free(), "gelu", "code"),
    "generalised, fixed spring": GeneralisedHeavyBall(NET, xi=Fixed(1.5), activation="softplus"),
    "generalised, everything of time": GeneralisedHeavyBall(NET, CLOCK, AFFINE_CLOCK),
    "adam": Adam(NET),
    "adam, denominator of the code": Adam(NET, denominator="code"),
    "adam, free rates": Adam(NET, Free(), Free(), epsilon=0.1),
    "adam, fixed rates": Adam(NET, Fixed(0.3), Fixed(0.9)),
    "adam, rates of time": Adam(NET, CLOCK, AFFINE_CLOCK),
    "logistic": Logistic(),
    "lotka-volterra": LotkaVolterra(),
    "van der pol": VanDerPol(),
    "pendulum": Pendulum(),
    "lorenz": Lorenz(),
    "augmented pendulum": Augmented(Pendulum(), extra=1),
}
each_field = pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS.keys())


def point(field: Field, seed: int, batch: int = 2):
    """t, y, theta: away from zero in the parts that have to be positive."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(batch, field.state))
    if "v" in field.parts:
        y[:, field.parts["v"]] = np.abs(y[:, field.parts["v"]]) + 0.1
    theta = rng.normal(size=field.params)
    theta += 0.2 * np.sign(theta)  # the logistic field divides by one of them
    return rng.normal(), y, theta
