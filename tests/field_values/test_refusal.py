"""A field is refused in words that say what was seen, why, and what to type; a right one is not."""

import numpy as np
import pytest
import torch
from odecheck_reference.fields import Mlp

from odecheck.field_values import DerivativesSeen, Sample, refusal, refusal_of
from odecheck.field_values.answers import CAUSES, Answer
from odecheck.field_values.look import FieldSeen
from odecheck.field_values.seen import Defect
from odecheck.fields.callback import CallbackField, flat_parameters
from tests.field_values import field_kinds as kinds

KNOTS = np.stack([np.array([[1.0, 0.5]])] * 3)
OFF = Sample(0.25, "reverse mode", 1e-3, 1e-9)


def seen(worst: Defect | None = None, answers: tuple[Answer, ...] = (), unread: tuple[str, ...] = ()) -> FieldSeen:
    samples = (worst.sample,) if worst else ()
    return FieldSeen(DerivativesSeen(samples, (0.25,), 1, 0.0, 1.0, worst, ()), answers, unread)


def test_nothing_seen_is_nothing_said():
    assert refusal(seen(answers=(Answer("in another order", 0.0, 0.5),))) is None


@pytest.mark.parametrize("question", CAUSES)
def test_every_question_has_its_cause(question):
    words = refusal(seen(answers=(Answer(question, 0.5, 0.25), Answer("in another order", 1.0, 0.5))))
    assert words is not None
    assert question in words[0] and "t = 0.25" in words[0] and "(and in another order)" in words[0]
    assert words[1] == CAUSES[question]


def test_a_derivative_a_coarse_value_and_a_kept_weight():
    for found, said, fix in (
        (seen(Defect(OFF, ("outer.weight", "t"))), "in the direction of outer.weight, t; seen at 1 of 1", "gradcheck"),
        (seen(Defect(OFF, ("t",), flat=True)), "do not change when t changes in its tenth digit", "t.to(y.dtype)"),
        (seen(unread=("a", "b")), "the parameters a, b are given", "a.requires_grad_(False)"),
    ):
        words = refusal(found)
        assert words is not None and said in words[0] and fix in words[2]


def test_a_module_that_is_called_back_is_asked_and_a_field_of_the_reference_is_not():
    def refused(module: torch.nn.Module):
        field = CallbackField(module, (2,))
        return refusal_of(field, flat_parameters(module), kinds.TS, KNOTS)

    assert refused(kinds.Net()) is None
    words = refused(kinds.Net(change=lambda s, t, y, v: v * y.detach()))
    assert words is not None and "by automatic differentiation is off" in words[0]
    assert refusal_of(Mlp(2, 2), np.ones(6), kinds.TS, KNOTS) is None


@pytest.mark.parametrize(
    "time",
    [
        lambda t, y: torch.ones(len(y), 1, dtype=torch.float32) * t,
        lambda t, y: t.float().expand(len(y), 1),
        lambda t, y: torch.full((len(y), 1), float(t), dtype=torch.float32),
    ],
)
def test_a_time_of_float32_is_named_as_that_and_not_as_a_wrong_derivative(time):
    class Timed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.net = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2)).double()

        def forward(self, t, y):
            return self.net(torch.cat([y, time(t, y)], 1))

    module = Timed()
    words = refusal_of(CallbackField(module, (2,)), flat_parameters(module), kinds.TS, KNOTS)
    assert words is not None and "do not change when t changes in its tenth digit" in words[0]
    assert "torch.ones(len(y), 1, dtype=y.dtype) * t" in words[2]


class Guarded(torch.nn.Module):
    """It raises where a state has left what it takes, as a check of arguments does, or a Cholesky factor."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.net, self.cut = torch.nn.Linear(2, 2).double(), cut

    def forward(self, t, y):
        if bool((y > 1.02).any()):
            raise ValueError("the state has left its box")
        value = -torch.sigmoid(self.net(y)) * y
        return value.detach() + 0 * value if self.cut and 0.4 < float(t) < 0.6 else value


def test_a_field_that_refuses_states_beside_its_solution_is_asked_where_it_takes_them():
    def refused(module: Guarded):
        return refusal_of(CallbackField(module, (2,)), flat_parameters(module), kinds.TS, KNOTS)

    torch.manual_seed(0)
    assert refused(Guarded(cut=False)) is None
    words = refused(Guarded(cut=True))
    assert words is not None and "by automatic differentiation is off" in words[0]


class LimitReached(Exception):
    """Too many calls."""


@pytest.mark.parametrize("limit", [150, 1500, 3000])
def test_a_limit_on_the_count_of_calls_is_named_with_the_line_that_holds_it(limit):
    def limited(self, t, y, value):
        object.__setattr__(self, "calls", getattr(self, "calls", 0) + 1)
        if self.calls > limit:
            raise LimitReached
        return value

    module = kinds.Net(change=limited)
    words = refusal_of(CallbackField(module, (2,)), flat_parameters(module), kinds.TS, KNOTS)
    assert words is not None and "does not answer every call" in words[0]
    assert "LimitReached, in test_refusal.py, line" in words[0] and "if self.calls > limit" in words[0]
    assert "limit on the count of calls" in words[1] and "raised, to 1e9" in words[2]
