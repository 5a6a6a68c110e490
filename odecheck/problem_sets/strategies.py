"""Hypothesis strategies that draw problems, and the Python text that rebuilds a problem exactly.

    @given(problems())
    def test_something(problem): ...

All numbers are multiples of 1/8, so that a counter-example can be read and typed. Shrinking goes towards a linear
field of one state, one row, one observation, small whole numbers. The flow of a drawn problem exists and grows little:
the window is shortened until it is a few of the field's own time scales, so that nothing has to be thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields as attributes
from dataclasses import is_dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from odecheck_reference import Problem, fields, losses
from odecheck_reference.bounded import Array
from odecheck_reference.fields import (
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
    Pendulum,
    SecondOrder,
    VanDerPol,
)

Draw = Callable[[st.SearchStrategy[Any]], Any]

ACTIVATIONS = ("identity", "tanh", "softplus", "sine", "gelu", "sigmoid")
# |t - t0| · ‖F_y‖ at the start; fields whose Jacobian grows with the state get less, so that they cannot run away
REACH, REACH_OF_A_POLYNOMIAL = 3.0, 1.0
COEFFICIENTS = st.sampled_from((Fixed(0.5), Free(), Learnt()))


def eighths(low: float, high: float) -> st.SearchStrategy[float]:
    """Multiples of 1/8 in [low, high], whole numbers near zero first."""
    return st.integers(int(np.ceil(low * 8)), int(np.floor(high * 8))).map(lambda k: k / 8)


@st.composite
def networks(draw: Draw, inputs: int, outputs: int) -> Mlp:
    """A dense network of depth 1 to 3 and width 1 to 3."""
    hidden = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    activation = draw(st.sampled_from(ACTIVATIONS)) if hidden else "identity"
    return Mlp(inputs, outputs, hidden, activation, draw(st.booleans()))


@st.composite
def vector_fields(draw: Draw) -> Field:
    """Any kind of field the reference knows, with 1 to 4 states."""
    d = draw(st.integers(1, 2))
    kind = draw(st.integers(0, 9))
    match kind:
        case 0:
            return Linear(d, draw(st.booleans()))
        case 1:
            return draw(networks(d, d))
        case 2:
            return SecondOrder(draw(networks(draw(st.sampled_from((d, 2 * d))), d)))
        case 3:
            return Augmented(draw(networks(d + 1, d + 1)), 1)
        case 4:
            return HeavyBall(draw(networks(d, d)), draw(COEFFICIENTS), signs=draw(st.sampled_from(("paper", "code"))))
        case 5:
            return GeneralisedHeavyBall(draw(networks(d, d)), draw(COEFFICIENTS), draw(COEFFICIENTS))
        case 6:
            return Adam(draw(networks(1, 1)), denominator=draw(st.sampled_from(("paper", "code"))))
        case 7:
            return GradientFlow(d, draw(st.integers(1, 2)), draw(st.sampled_from(ACTIVATIONS)))
        case _:
            return draw(st.sampled_from((Logistic(), VanDerPol(), Pendulum(), LotkaVolterra(), Lorenz())))


def _array(draw: Draw, numbers: st.SearchStrategy[float], *shape: int) -> Array:
    size = int(np.prod(shape))
    return np.array(draw(st.lists(numbers, min_size=size, max_size=size)), dtype=np.float64).reshape(shape)


def _start(draw: Draw, field: Field, batch: int) -> tuple[Array, Array]:
    """theta and y0 where the flow exists."""
    theta = _array(draw, eighths(-1.5, 1.5), field.params)
    match field:
        case Logistic():
            theta = np.array([draw(eighths(-2, 2)), draw(eighths(1, 2))])
            return theta, _array(draw, eighths(1 / 8, 7 / 8), batch, 1)
        case LotkaVolterra() | Lorenz():
            return np.abs(theta) + 0.5, _array(draw, eighths(1 / 8, 2), batch, field.state)
        case Adam():
            y0 = _array(draw, eighths(-1.5, 1.5), batch, field.state)
            y0[:, field.parts["v"]] = np.abs(y0[:, field.parts["v"]]) + 0.5
            return theta, y0
        case _:
            return theta, _array(draw, eighths(-1.5, 1.5), batch, field.state)


def _times(draw: Draw, field: Field, theta: Array, y0: Array) -> Array:
    """Increasing or decreasing; gaps of eighths, halved until the window is short enough for the field."""
    start = draw(eighths(-1, 1))
    gaps = np.array(draw(st.lists(eighths(1 / 8, 1), min_size=1, max_size=3)))
    jet = field.jet(start, y0, theta, 1)
    assert jet.first is not None
    stiffness = float(np.max(np.linalg.norm(jet.first[..., 1 : 1 + field.state], 2, axis=(1, 2))))
    polynomial = isinstance(field, VanDerPol | LotkaVolterra | Lorenz | Adam)
    reach = REACH_OF_A_POLYNOMIAL if polynomial else REACH
    length = float(gaps.sum())
    while length * max(stiffness, 1e-3) > reach:
        gaps, length = gaps / 2, length / 2
    steps = np.concatenate([[0.0], np.cumsum(gaps)])
    # Backwards in time v of an Adam ODE may pass -epsilon, where its root ends: a solver that only tries a state beyond
    # it stops, rightly or not. ADAM-3 and the study of stability speak of that, no claim about derivatives does.
    backwards = draw(st.booleans()) and not isinstance(field, Adam)
    return start + (-steps if backwards else steps)


def _loss(draw: Draw, shape: tuple[int, int, int]) -> losses.Loss:
    """Any kind of loss; the last time is always observed, the others or not."""
    seen = np.array([draw(st.booleans()) for _ in range(shape[0] - 1)] + [True])[:, None, None]
    weight = seen * _array(draw, eighths(1 / 8, 2), *shape)
    kind = draw(st.integers(0, 3 if shape[2] > 1 else 2))
    if kind == 0:
        return losses.Linear(weight)
    if kind == 3:
        label = _array(draw, st.integers(0, shape[2] - 1).map(float), *shape[:2]).astype(int)
        return losses.CrossEntropy(weight[..., 0], label)
    return (losses.SquaredError, losses.LogCosh)[kind - 1](weight, _array(draw, eighths(-2, 2), *shape))


@st.composite
def problems(draw: Draw) -> Problem:
    """A problem with any field, loss and direction of time, 1 to 3 rows and outputs, with or without an integral."""
    field = draw(vector_fields())
    theta, y0 = _start(draw, field, draw(st.integers(1, 3)))
    ts = _times(draw, field, theta, y0)
    running = None
    if draw(st.booleans()):
        running = losses.QuadraticCost(*(draw(eighths(-1, 1)) for _ in range(3)))
    return Problem("drawn", field, y0, theta, ts, _loss(draw, (len(ts), *y0.shape)), running)


def reproducer(problem: Problem) -> str:
    """Python text that rebuilds `problem` bit for bit, to copy and paste.

    Raises TypeError when its field or loss is none of the reference's own.
    """
    arguments = {a.name: getattr(problem, a.name) for a in attributes(problem)}
    lines = ",\n".join(f"    {name}={_text(value)}" for name, value in arguments.items())
    return (
        "import numpy as np\nfrom odecheck_reference import Problem, fields, losses\n\n"
        f"problem = Problem(\n{lines},\n)\n"
    )


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        shape = f".reshape{value.shape}" if value.size == 0 else ""
        return f"np.array({value.tolist()}, dtype=np.{value.dtype}){shape}"
    if isinstance(value, tuple):
        return f"({''.join(_text(v) + ', ' for v in value)})"
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        for module in (fields, losses):
            if getattr(module, kind.__name__, None) is kind:
                inner = ", ".join(f"{a.name}={_text(getattr(value, a.name))}" for a in attributes(value) if a.init)
                return f"{module.__name__.split('.')[-1]}.{kind.__name__}({inner})"
    if value is None or isinstance(value, str | bool | int | float):
        return repr(value)
    raise TypeError(f"no Python text is known for {type(value).__name__}: rebuild that part by hand")
