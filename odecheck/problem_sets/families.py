"""Drawn problems: families of fields, each with parameters, starts and times of a seeded generator.

`draw(family, seed)` gives the same problem everywhere. Numbers are rounded to 1/64, so that they can be typed. Families
come in the order of their size: the first counter-example found is the smallest one drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from odecheck_reference import Problem
from odecheck_reference.bounded import Array
from odecheck_reference.fields import (
    Adam,
    Field,
    Fixed,
    Free,
    GeneralisedHeavyBall,
    GradientFlow,
    HeavyBall,
    Learnt,
    Linear,
    Mlp,
    OfTime,
    Pendulum,
    SecondOrder,
)
from odecheck_reference.losses import Linear as LinearLoss
from odecheck_reference.losses import SquaredError

CLOCK = OfTime(Mlp(0, 1, (2,), time=True), scale=1.5)
WEIGHT_OF_TIME = OfTime(Mlp(0, 1, time=True), activation="softplus")


def _as_drawn(problem: Problem) -> Problem:
    return problem


@dataclass(frozen=True)
class Family:
    """A kind of problem. scale: of the parameters; span: of the last time; finish: what is done to a drawn problem.

    seeds: how many problems of it the ledger draws: more where few of a claim's problems come from it.
    """

    name: str
    field: Field
    batch: int = 1
    scale: float = 0.8
    span: float = 1.5
    finish: Callable[[Problem], Problem] = attribute(default=_as_drawn, compare=False)
    seeds: int = 1

    def draw(self, seed: int) -> Problem:
        rng = np.random.default_rng([seed, *self.name.encode()])
        shape = 4, self.batch, self.field.state
        y0 = _rounded(rng.normal(size=shape[1:]))
        if "v" in self.field.parts:
            v = self.field.parts["v"]
            y0[:, v] = np.abs(y0[:, v]) + 0.25
        steps = rng.uniform(0.5, 1.5, 3)
        ts = _rounded(np.concatenate([[0.0], self.span * np.cumsum(steps) / steps.sum()]))
        seen = np.ones(shape)
        seen[0] = 0.0
        loss = SquaredError(seen, _rounded(rng.normal(size=shape)))
        theta = _rounded(self.scale * rng.normal(size=self.field.params))
        return self.finish(Problem(f"{self.name} #{seed}", self.field, y0, theta, ts, loss))


def _rounded(numbers: Array) -> Array:
    return np.round(numbers * 64) / 64


def _on_the_bound(problem: Problem) -> Problem:
    """v(0) = m(0)² ≥ 1/16: the velocity starts at almost 1, and may never exceed it."""
    y0, parts = problem.y0.copy(), problem.field.parts
    m = y0[:, parts["m"]]
    y0[:, parts["m"]] = np.where(m < 0, -1, 1) * np.clip(np.abs(m), 0.25, 1.0)
    y0[:, parts["v"]] = y0[:, parts["m"]] ** 2
    return problem.with_(y0=y0)


def _no_momentum(problem: Problem) -> Problem:
    y0, parts = problem.y0.copy(), problem.field.parts
    y0[:, parts["m"]] = 0.0
    return problem.with_(y0=y0)


def _published_rates(problem: Problem) -> Problem:
    """α1 = sigmoid(−5), α2 = sigmoid(5), m(0)² = v(0), and a weak f: m remembers what v forgets."""
    theta, y0, parts = problem.theta.copy(), problem.y0.copy(), problem.field.parts
    theta[-2:] = -5.0, 5.0
    y0[:, parts["v"]] = y0[:, parts["m"]] ** 2
    return problem.with_(theta=theta, y0=y0)


def _undriven(problem: Problem) -> Problem:
    """f does not depend on h (its last layer has no weights but a bias), nor does the loss."""
    d = problem.field.parts["h"].stop
    theta, weight = problem.theta.copy(), np.zeros(problem.observations)
    theta[: d * d] = 0.0
    weight[-1, :, d:] = problem.y0[:, d:] + 1
    return problem.with_(theta=theta, loss=LinearLoss(weight))


_ALL = (
    Family("network of width 1", Mlp(1, 1, (2,)), 2),
    Family("linear", Linear(2, time=True), 2),
    Family("gradient", GradientFlow(2, 3), 2),
    Family("network", Mlp(2, 2, (3,), time=True), 2),
    Family("second order", SecondOrder(Mlp(4, 2, (3,), "sine")), 2),
    Family("pendulum", Pendulum(), 1),
    Family("heavy ball of width 1", HeavyBall(Mlp(1, 1, (2,)))),
    Family("heavy ball, linear", HeavyBall(Linear(2), Learnt())),
    Family("heavy ball, linear in time", HeavyBall(Linear(2, time=True), Learnt(scale=2.0))),
    Family("heavy ball of a gradient", HeavyBall(GradientFlow(2, 3), Learnt())),
    Family("heavy ball", HeavyBall(Mlp(2, 2, (3,), time=True)), 2),
    Family("heavy ball, signs of the code", HeavyBall(Mlp(2, 2, (3,), "sine"), Learnt(scale=0.5), signs="code")),
    Family("heavy ball, damping of time", HeavyBall(Mlp(2, 2, (3,), "softplus"), CLOCK), seeds=3),
    Family("heavy ball, linear, damping of time", HeavyBall(Linear(2), CLOCK), seeds=2),
    Family("generalised heavy ball of width 1", GeneralisedHeavyBall(Mlp(1, 1, (2,))), seeds=2),
    Family("generalised heavy ball", GeneralisedHeavyBall(Mlp(2, 2, (3,), time=True))),
    Family("generalised heavy ball of a gradient", GeneralisedHeavyBall(GradientFlow(2, 2), Free(), Free())),
    Family("generalised heavy ball, all of time", GeneralisedHeavyBall(Mlp(2, 2, (2,)), CLOCK, WEIGHT_OF_TIME)),
    Family("Adam of width 1", Adam(Mlp(1, 1, (2,)), epsilon=0.1)),
    Family("Adam", Adam(Mlp(2, 2, (3,), time=True), epsilon=0.05)),
    Family("Adam, denominator of the code", Adam(Mlp(2, 2, (3,)), epsilon=0.05, denominator="code")),
    Family("Adam, rates of time", Adam(Mlp(2, 2, (2,)), CLOCK, WEIGHT_OF_TIME, epsilon=0.1)),
    Family(
        "Adam, equal rates", Adam(Mlp(1, 1, (2,)), Fixed(0.75), Fixed(0.75), 0.01), 2, finish=_on_the_bound, seeds=3
    ),
    Family(
        "Adam, m faster than v",
        Adam(Mlp(2, 2, (2,)), Fixed(1.0), Fixed(0.75), 0.01),
        span=3.0,
        finish=_no_momentum,
        seeds=2,
    ),
    Family(
        "Adam, published rates",
        Adam(Mlp(1, 1, (2,)), epsilon=1e-3),
        scale=0.1,
        span=4.0,
        finish=_published_rates,
        seeds=2,
    ),
    Family("Adam, undriven", Adam(Linear(2, time=True), Fixed(0.5), Fixed(0.75), 0.05), finish=_undriven),
)

FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _ALL})


@lru_cache(maxsize=256)
def draw(family: str, seed: int = 0) -> Problem:
    """The problem of a family and a seed; the same object each time, so that what is computed for it is kept."""
    return FAMILIES[family].draw(seed)


def families_of(*patterns: str) -> tuple[str, ...]:
    """Names of the families that match one of the patterns, which are as of file names."""
    return tuple(name for name in FAMILIES if any(fnmatchcase(name, pattern) for pattern in patterns))
