"""What a script asks: a template and its variables, and what several kinds of question share."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from odecheck_reference import Problem, losses

from odecheck.errors import BadInput
from odecheck.foreign import literal
from odecheck.subject import Subject

T = TypeVar("T")
Variables = dict[str, Any]
SHOW = "odecheck show ROW, which runs the case again with odecheck"


@dataclass(frozen=True)
class Question:
    """What a script asks.

    Attributes:
        kind: the template.
        what: the quantity, in the line that the script prints.
        problem: what is solved.
        subject: how finely.
        variables: of the template.
        relative: whether the bar is in units of the largest true component.
        carried: whether the integral in the loss is solved for, as one more component of the state.
        beside: what the observed value is compared with, in words.
        granted: an error that is granted to each evaluation of the field; then they are counted.
        bar: of the script, where it is not that of the row.
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


def indices(worst: str) -> list[int]:
    """The index of a row's worst component.

    Args:
        worst: as rows have it: "[0, 3]", or empty.

    Returns:
        Whole numbers.

    Raises:
        BadInput: it is anything else.
    """
    if not re.fullmatch(r"|\[(\d{1,9}(, \d{1,9})*)?\]", worst):
        raise _no_such_component(worst)
    return [int(number) for number in re.findall(r"\d+", worst)]


def _no_such_component(worst: str) -> BadInput:
    return BadInput(
        f"the row says that its worst component is {literal(worst)}, which its claim does not have",
        "a row that was changed since it was written, or of another version of odecheck",
        "the command of that run again, which writes the row anew",
    )


def part_of(parts: Sequence[T], number: int, worst: str) -> T:
    """One of what a claim consists of.

    Args:
        parts: all of them.
        number: which one.
        worst: the index that it comes from, for the message.

    Returns:
        The part.

    Raises:
        BadInput: there is none of this number.
    """
    if not 0 <= number < len(parts):
        raise _no_such_component(worst)
    return parts[number]


def index_of(worst: str, otherwise: int) -> int:
    """The first index of a row's worst component. Raises BadInput where it is none."""
    return (indices(worst) or [otherwise])[0]


def worst_part(parts: Sequence[Problem], sizes: Sequence[int], worst: str) -> Problem:
    """Of several problems of one claim the one with the worst component.

    Args:
        parts: the problems.
        sizes: of each part's numbers, where they come flat; otherwise the first index is the part's.
        worst: the index of a row's worst component, as text; of an empty one it is the first part.

    Returns:
        One of the parts.
    """
    index = indices(worst) or [0]
    if len(index) != 1:
        return part_of(parts, index[0], worst)
    return part_of(parts, int(np.searchsorted(np.cumsum(sizes), index[0], side="right")), worst)


def loss_text(loss: object, *, carried: bool = False) -> tuple[str, str]:
    """A loss of y as text.

    Args:
        loss: of the reference.
        carried: whether y has the integral as its last component.

    Returns:
        An expression in torch of y (times, batch, state), and the line that assigns its constants.

    Raises:
        BadInput: a loss that has no text.
    """
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
    if not math.isfinite(gap + bar):
        return "1e-6 * np.abs(true).max() + 1e-6"
    between = (bar + gap) / 2
    return f"{min(between, 1e-3):.3g} * np.abs(true).max()" if relative else f"{between:.3g}"
