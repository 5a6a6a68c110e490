"""Random problems whose truth is known to 30 digits, and by how much the reference's error bars cover it.

`odecheck selftest --part bars` looks at 5,000 problems, the tests at 1,000 others of the same kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import mpmath
import numpy as np
from odecheck_reference import (
    Bounded,
    Problem,
    adjoint_states,
    exact,
    flow,
    gauss_newton,
    gradient,
    hessian,
    loss,
    solution,
    transition,
    volume,
)
from odecheck_reference.collocation import ExactError
from odecheck_reference.fields import (
    Adam,
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
from odecheck_reference.losses import CrossEntropy, LogCosh, Loss, QuadraticCost, SquaredError
from odecheck_reference.losses import Linear as LinearLoss

from .journal import Piece
from .journal import Row as JournalRow

CLOSED: tuple[Field, ...] = (
    Linear(1),
    Linear(1, time=True),
    Linear(2),
    Linear(2, time=True),
    Linear(3),
    Mlp(1, 1, (), time=True),
    Mlp(2, 2),
    Logistic(),
    Logistic(),
)
CURVED: tuple[Field, ...] = (
    Mlp(1, 1, (1,), time=True),
    Mlp(1, 1, (2,), "softplus"),
    Mlp(1, 1, (1, 1), "sine"),
    Mlp(2, 2, (1,), "gelu"),
    SecondOrder(Mlp(1, 1, (1,), time=True)),
    HeavyBall(Mlp(1, 1, (1,))),
    GeneralisedHeavyBall(Mlp(1, 1, (), time=True)),
    Adam(Mlp(1, 1)),
    LotkaVolterra(),
    VanDerPol(),
    Pendulum(),
    Lorenz(),
)
# the share of fields with a closed form: the others take a hundred times as long, in mpmath
CLOSED_SHARE = 0.99
# how long the window may be, as a multiple of 1 / Lipschitz constant of the start
REACH = (0.05, 1.0, 3.0, 8.0)


@dataclass(frozen=True)
class Row:
    """One quantity of one problem. score: the largest error / bar; slack: largest bar / largest error."""

    seed: int
    quantity: str
    score: float
    slack: float
    name: str


def drawn(seed: int, *, closed: float = CLOSED_SHARE) -> Problem:
    """A random problem: every loss, both directions of time, 1 to 3 rows, 1 to 4 observations apart or close together,
    windows from a fraction of a time scale to many, small and large states, targets close to what is observed."""
    rng = np.random.default_rng([seed, 20260])
    family = CLOSED if rng.random() < closed else CURVED
    field = family[rng.integers(len(family))]
    batch = int(rng.choice([1, 1, 1, 2, 3]) if family is CLOSED else rng.choice([1, 1, 2]))
    theta = rng.normal(size=field.params) * rng.choice([0.3, 1.0, 2.0])
    y0 = rng.normal(size=(batch, field.state)) * rng.choice([1e-12, 1e-6, 1e-3, 1.0, 1.0, 1.0, 1.0, 10.0])
    theta, y0 = _admitted(field, theta, y0, rng)
    ts = _times(field, theta, y0, rng)
    silent = LinearLoss(np.zeros((len(ts), batch, field.state)))
    bare = Problem(f"{type(field).__name__} {seed}", field, y0, theta, ts, silent)
    running = QuadraticCost() if family is CURVED and rng.random() < 0.3 else None
    return replace(bare, loss=_loss(bare, rng), running=running)


def _admitted(field: Field, theta: Any, y0: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Parameters and starts where the flow exists: positive populations, v > 0, a logistic start below K."""
    match field:
        case Logistic():
            theta = np.array([rng.normal() * 1.5, rng.uniform(0.5, 3.0)])
            y0 = theta[1] * rng.uniform(0.02, 0.98, size=y0.shape)
        case LotkaVolterra():
            theta, y0 = np.abs(theta).clip(0.1, 2), np.abs(y0).clip(0.1, 2)
        case Lorenz():
            theta, y0 = np.array([10.0, 28.0, 8 / 3]), rng.normal(size=y0.shape) * 5 + np.array([0, 0, 20.0])
        case VanDerPol() | Pendulum():
            theta, y0 = theta.clip(-2, 2), y0.clip(-3, 3)
        case Adam():
            y0[:, field.parts["v"]] = np.abs(y0[:, field.parts["v"]]) + 0.5
            theta, y0 = theta.clip(-2, 2), y0.clip(-3, 3)
        case _:
            if not isinstance(field, Linear) and getattr(field, "hidden", None) != ():
                y0 = y0.clip(-3, 3)
    return theta, y0


def _times(field: Field, theta: Any, y0: Any, rng: np.random.Generator) -> Any:
    start = float(rng.choice([0.0, 0.0, rng.normal()]))
    jet = field.jet(start, y0, theta, 1)
    assert jet.first is not None
    speed = float(np.max(np.linalg.norm(jet.first[..., 1 : 1 + field.state], 2, axis=(1, 2))))
    reach = REACH[rng.integers(len(REACH))] if isinstance(field, Linear | Logistic) else rng.choice([0.05, 0.5, 1.5])
    length = min(reach / max(speed, 0.2), 10.0)
    inner = np.sort(rng.uniform(0.05, 0.95, size=rng.choice([0, 0, 1, 2])))
    if len(inner) == 2 and rng.random() < 0.3:
        inner[1] = inner[0] + 1e-6  # two observations close together
    ts = start + length * np.concatenate([[0.0], inner, [1.0]]) * rng.choice([-1, 1])
    return ts


def _loss(problem: Problem, rng: np.random.Generator) -> Loss:
    shape = problem.observations
    weight = rng.uniform(0.1, 1, size=shape) * (rng.random(shape[0]) < 0.7)[:, None, None]
    weight[-1] = 1.0
    target = rng.normal(size=shape)
    if rng.random() < 0.3:  # a good fit: the loss and its gradient are small differences of large numbers
        target = solution(problem).value * (1 + 1e-4 * target)
    kinds = ["linear", "squared", "log-cosh", "entropy"]
    match rng.choice(kinds if shape[2] > 1 else kinds[:3]):
        case "linear":
            return LinearLoss(weight * rng.normal(size=shape))
        case "squared":
            return SquaredError(weight, target)
        case "log-cosh":
            return LogCosh(weight, target)
        case _:
            return CrossEntropy(weight[..., 0], rng.integers(0, shape[2], size=shape[:2]))


QUANTITIES = ("solution", "loss", "transition", "gradient", "adjoint states", "volume", "hessian", "gauss-newton")
# Each problem is asked for its solution and loss, every other one for some of the rest in turn: most of the cost is the
# reference's own five runs of each kind of equation, and other problems tell more than other quantities of one.
TURNS = (
    ("transition", "gradient"),
    (),
    ("adjoint states",),
    (),
    ("volume",),
    (),
    ("transition", "gradient"),
    (),
    ("adjoint states", "volume"),
    (),
    ("hessian", "gauss-newton"),
    (),
)
ORDER = {"solution": 0, "loss": 0, "hessian": 2, "gauss-newton": 2}


def pairs(problem: Problem, quantities: tuple[str, ...] = QUANTITIES) -> Iterator[tuple[str, Bounded, Any]]:
    """(name, what the reference says, the truth) for each of the quantities."""
    truth = exact.solve(problem, order=max(ORDER.get(q, 1) for q in quantities))
    size, n = problem.y0.size, problem.field.params
    simple = {
        "solution": (solution, truth.solution),
        "loss": (loss, truth.loss),
        "transition": (transition, truth.transition),
        "adjoint states": (adjoint_states, truth.adjoint_states),
        "volume": (volume, truth.volume),
        "hessian": (hessian, truth.hessian),
        "gauss-newton": (gauss_newton, truth.gauss_newton),
    }
    for quantity in quantities:
        if quantity != "gradient":
            reference, right = simple[quantity]
            yield quantity, reference(problem), np.asarray(right(), dtype=object)
            continue
        g, right = gradient(problem), truth.gradient()
        yield "gradient in y0", g.y0, right[:size].reshape(problem.y0.shape)
        if n:
            yield "gradient in theta", g.theta, right[size : size + n]
        yield "gradient in ts", g.ts, right[size + n :]


def measured(observed: Bounded, truth: Any) -> tuple[float, float]:
    """The largest error / bar, and the largest bar / the largest error."""
    with mpmath.workdps(40):
        error = np.asarray(np.abs(np.asarray(observed.value, dtype=object) - truth), dtype=object).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(error == 0, 0.0, error / observed.radius)
    largest = float(np.max(error))
    return float(np.max(score)), float(np.max(observed.radius)) / largest if largest else float("nan")


def rows(seed: int, quantities: tuple[str, ...] | None = None) -> list[Row]:
    """The quantities of one drawn problem, by default those whose turn it is.

    Empty where the flow ends before the last time, or the truth is not to be had.
    """
    if quantities is None:
        quantities = ("solution", "loss", *TURNS[seed % len(TURNS)])
    try:
        problem = drawn(seed)
        return [
            Row(seed, name, *measured(observed, truth), problem.name)
            for name, observed, truth in pairs(problem, quantities)
        ]
    except (flow.FlowError, ExactError):
        return []


def judged(seed: int) -> list[JournalRow]:
    """The rows of one drawn problem, for the journal."""
    return [asdict(row) for row in rows(seed)]


def pieces(first: int, count: int) -> list[Piece]:
    return [Piece(str(seed), seed) for seed in range(first, first + count)]


def summary(found: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """How many were drawn; by quantity: how many are outside, the largest error / bar, percentiles of bar / error."""
    everything = [row for one in found for row in one]
    table: list[JournalRow] = []
    for quantity in dict.fromkeys(row["quantity"] for row in everything):
        of = [row for row in everything if row["quantity"] == quantity]
        slack = [row["slack"] for row in of if np.isfinite(row["slack"])]
        low, middle, high = (float(x) for x in np.percentile(slack, [1, 50, 99]))
        table.append(
            {
                "quantity": quantity,
                "rows": len(of),
                "outside": sum(row["score"] > 1 for row in of),
                "largest_error_over_bar": max(row["score"] for row in of),
                "bar_over_error_1_percent": low,
                "bar_over_error_median": middle,
                "bar_over_error_99_percent": high,
            }
        )
    slack = [row["slack"] for row in everything if np.isfinite(row["slack"])]
    return {
        "drawn": len(found),
        "problems": sum(bool(one) for one in found),
        "rows": len(everything),
        "outside": sum(row["score"] > 1 for row in everything),
        "outside_rows": [dict(row) for row in everything if row["score"] > 1],
        "problems_outside": sum(any(row["score"] > 1 for row in one) for one in found),
        "median": float(np.median(slack)) if slack else None,
        "quantities": table,
    }
