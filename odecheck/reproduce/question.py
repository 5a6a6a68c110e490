"""What a script asks: a template and its variables, and what several kinds of question share."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from odecheck_reference import Problem, losses

from odecheck.errors import BadInput
from odecheck.subject import Subject

Variables = dict[str, Any]
SHOW = "odecheck show ROW, which runs the case again with odecheck"


@dataclass(frozen=True)
class Question:
    """kind: the template. what: of the printed line. problem, subject: what is solved, and how finely.

    relative: whether the bar is in units of the largest true component. carried: whether the integral in the loss is
    solved for, as one more component of the state. beside: what the observed value is compared with. bar: of the
    script, where it is not that of the row. granted: an error that is granted to each evaluation of the field; then
    they are counted.
    """

    kind: str
    what: str
    problem: Problem
    subject: Subject
    variables: Variables
    relative: bool = False
    carried: bool = False
    beside: str = "true"
    granted: float = 0.0
    bar: str = ""


def finest(subject: Subject) -> Subject:
    """The third rung of a ladder."""
    return subject.refined().refined()


def index_of(worst: str, otherwise: int) -> int:
    """The first index of a row's worst component."""
    return int(ast.literal_eval(worst)[0]) if worst else otherwise


def worst_part(parts: Sequence[Problem], sizes: Sequence[int], worst: str) -> Problem:
    """Of several problems of one claim the one with the worst component. worst: a row's, as text; none: the first.

    sizes: of each part's numbers, where they come flat; otherwise the first index is the part's.
    """
    index = ast.literal_eval(worst) if worst else [0]
    if len(index) != 1:
        return parts[index[0]] if index else parts[0]
    return parts[int(np.searchsorted(np.cumsum(sizes), index[0], side="right"))]


def loss_text(loss: object, *, carried: bool = False) -> tuple[str, str]:
    """A loss of y as text, and the line of its constants. carried: y has the integral as its last component."""
    y = "y[..., :-1]" if carried else "y"
    integral = " + y[-1, :, -1].sum()" if carried else ""
    match loss:
        case losses.Linear():
            text, constants = "(w * {}).sum()", {"w": loss.weight}
        case losses.SquaredError():
            text, constants = "(w * ({} - c) ** 2).sum() / 2", {"w": loss.weight, "c": loss.target}
        case losses.LogCosh():
            text, constants = "(w * torch.log(torch.cosh({} - c))).sum()", {"w": loss.weight, "c": loss.target}
        case losses.CrossEntropy():
            text = "-(w * torch.log_softmax({}, -1).gather(-1, c[..., None])[..., 0]).sum()"
            constants = {"w": loss.weight, "c": np.asarray(loss.label)}
        case _:
            raise BadInput(f"no text is known for the loss {type(loss).__name__}", "a loss of your own", SHOW)
    made = ", ".join(f"torch.tensor(np.array({value.tolist()}))" for value in constants.values())
    return text.format(y) + integral, f"{', '.join(constants)} = {made}"


def bar_text(observed: float, expected: float, bar: float, *, relative: bool) -> str:
    """The script's bar: half way between the row's bar and its gap."""
    gap = abs(observed - expected)
    if not math.isfinite(gap):
        return "1e-6 * np.abs(true).max() + 1e-6"
    between = (bar + gap) / 2
    return f"{min(between, 1e-3):.3g} * np.abs(true).max()" if relative else f"{between:.3g}"
