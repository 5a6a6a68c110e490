"""What several kinds of question share: losses as text, bars, and the part of a problem that is asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference import catalogue

from odecheck import SHIPPED, Adaptive, Subject
from odecheck.engines.torchdiffeq import Backprop
from odecheck.errors import BadInput
from odecheck.reproduce.question import bar_text, finest, index_of, loss_text, worst_part

LOSSES = {type(problem.loss).__name__: problem for problem in catalogue.full()}


@pytest.mark.parametrize("problem", LOSSES.values(), ids=LOSSES.keys())
def test_the_text_of_a_loss_is_the_loss(problem):
    text, constants = loss_text(problem.loss)
    y = np.random.default_rng(0).standard_normal((len(problem.ts), *problem.y0.shape))
    scope = {"torch": torch, "np": np, "y": torch.tensor(y)}
    exec(constants, scope)
    assert float(eval(text, scope)) == pytest.approx(float(problem.loss.value(y)), rel=1e-13)
    carried, _ = loss_text(problem.loss, carried=True)
    scope["y"] = torch.cat([scope["y"], torch.full((*y.shape[:-1], 1), 0.5)], -1)
    assert float(eval(carried, scope)) == pytest.approx(float(problem.loss.value(y)) + 0.5 * y.shape[1], rel=1e-13)


def test_a_loss_of_ones_own_has_no_text():
    with pytest.raises(BadInput, match="no text is known for the loss object"):
        loss_text(object())


@pytest.mark.parametrize(
    ("row", "relative", "expected"),
    [
        ((1.0, 0.0, 0.5), False, "0.75"),
        ((1.0, 0.0, 0.5), True, "0.001 * np.abs(true).max()"),
        ((1e-5, 0.0, 0.0), True, "5e-06 * np.abs(true).max()"),
        ((float("nan"), 0.0, 0.5), False, "1e-6 * np.abs(true).max() + 1e-6"),
    ],
)
def test_the_bar_lies_between_the_rows_bar_and_its_gap(row, relative, expected):
    assert bar_text(*row, relative=relative) == expected


def test_the_worst_component_says_which_part_is_asked():
    one, two, three = catalogue.full()[:3]
    assert worst_part((one, two, three), (4, 2, 2), "") is one
    assert worst_part((one, two, three), (4, 2, 2), "[3]") is one
    assert worst_part((one, two, three), (4, 2, 2), "[4]") is two
    assert worst_part((one, two, three), (4, 2, 2), "[2, 0]") is three
    assert worst_part((one, two), (4, 2), "[]") is one
    assert (index_of("[3, 1]", 7), index_of("", 7)) == (3, 7)


def test_the_finest_is_the_third_rung():
    subject = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-5), Backprop())
    assert finest(subject).solver.rtol == pytest.approx(1e-7)
