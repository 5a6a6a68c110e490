"""All that values say of a field, in one: what is no function is not asked for derivatives."""

import copy

import numpy as np

from odecheck.field_values import look
from odecheck.field_values.look import path_of
from tests.field_values import field_kinds as kinds

STATES = np.array([[1.0, 0.5], [0.3, 0.2]])
KNOTS = np.stack([STATES] * 3)


def looked(module, **how):
    return look(lambda: copy.deepcopy(module), kinds.TS, KNOTS, **how)


def test_a_right_field_is_asked_everything():
    seen = looked(kinds.Net(), samples=8, second=4, forward=True)
    assert seen.derivatives.asked == 8 and seen.derivatives.worst is None
    assert {s.mode for s in seen.derivatives.samples} == {"reverse mode", "forward mode", "reverse mode twice"}
    assert seen.answers[-1].question == "after thousands of calls" and not any(a.off for a in seen.answers)
    assert seen.without_influence == ()


def test_what_is_no_function_is_not_asked_for_derivatives():
    change, question = next(iter(kinds.MEMORIES.values()))
    seen = looked(kinds.Net(change=change), samples=8)
    assert question in [a.question for a in seen.answers if a.off]
    assert seen.derivatives.asked == 0 and seen.derivatives.samples == ()


def test_a_path_has_the_rows_of_the_state_whatever_its_shape():
    module = kinds.Formula(lambda s, t, y: -s.k * y.transpose(1, 2), k=1.0)
    path = path_of(module, kinds.TS, np.ones((3, 2, 4)), (2, 2))
    assert path.states.shape[1:] == (2, 4) and path.times[-1] == 1.0
