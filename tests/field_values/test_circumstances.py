"""A gradient that hangs on more than time, state and parameters is named by the circumstance that gives it away."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from odecheck.field_values import look, refusal
from odecheck.field_values.answers import OF_INPUTS, OF_ROWS, OF_VALUE
from odecheck.field_values.circumstances import ask_circumstances
from tests.field_values import field_kinds as kinds

STATES = np.array([[1.0, 0.5], [0.3, 0.2]])


def in_a_weight(when, off=0.1):
    """The derivative in one weight is off, when(t, y, weight)."""

    def change(self, t, y, value):
        weight = kinds.lying(self.outer.weight, off if when(t, y, self.outer.weight) else 0.0)
        return self.hidden(y) @ weight.T + self.outer.bias

    return change


def in_the_state(when, off=0.1):
    return lambda self, t, y, value: self.outer(
        self.hidden(kinds.lying(y, off if when(t, y, self.outer.weight) else 0))
    )


LIES = {
    "few rows": (in_a_weight(lambda t, y, w: len(y) < 8), OF_ROWS),
    "the user's rows": (in_a_weight(lambda t, y, w: len(y) == 2), OF_ROWS),
    "one row": (in_a_weight(lambda t, y, w: len(y) == 1), OF_ROWS),
    "one row, the state": (in_the_state(lambda t, y, w: len(y) == 1), OF_ROWS),
    "one row, a little": (in_a_weight(lambda t, y, w: len(y) == 1, off=1e-7), OF_ROWS),
    "constant times": (in_a_weight(lambda t, y, w: not t.requires_grad), OF_INPUTS),
    "constant times, the state": (in_the_state(lambda t, y, w: not t.requires_grad), OF_INPUTS),
    "constant state": (in_a_weight(lambda t, y, w: not y.requires_grad), OF_INPUTS),
    "frozen parameters": (in_the_state(lambda t, y, w: not w.requires_grad), OF_INPUTS),
    "a value": (lambda self, t, y, value: value * (1.01 if y.requires_grad and not t.requires_grad else 1), OF_VALUE),
}


@pytest.mark.parametrize("name", LIES)
def test_a_gradient_of_another_circumstance_is_named(name):
    change, question = LIES[name]
    net = kinds.Net(change=change)
    seen = look(lambda: copy.deepcopy(net), kinds.TS, np.stack([STATES] * 3), samples=32)
    assert seen.derivatives.worst is None  # where derivatives are held against values, they are right
    assert question in [a.question for a in seen.answers if a.off]
    words = refusal(seen)
    assert words is not None and "its " + ("answer" if question == OF_VALUE else "gradient") in words[0]


@pytest.mark.parametrize("name", kinds.RIGHT)
def test_a_right_field_has_one_gradient(name):
    make, y0 = kinds.RIGHT[name]
    module = make()
    for rows in (1, 2, 9):
        start = np.resize(np.array(y0), (rows, len(y0[0]))).tolist()
        found = ask_circumstances(lambda: copy.deepcopy(module), kinds.path(module, start), (len(y0[0]),))
        assert not [a for a in found if a.off]
