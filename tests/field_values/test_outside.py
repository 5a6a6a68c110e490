"""What a field's code keeps outside of the field is seen, named, and left as it was."""

from __future__ import annotations

import copy
import functools
from collections import deque

import numpy as np
import pytest
import torch

from odecheck.field_values import look, refusal
from odecheck.field_values.answers import KEPT_OUTSIDE
from odecheck.field_values.outside import ask_outside, holders
from tests.field_values import field_kinds as kinds

STATES = np.array([[1.0, 0.5], [0.3, 0.2]])
KEPT, QUEUE, CONSTANTS, COUNTS = {}, deque(), {"rate": 1.5}, []
SIGMA, RATE = None, 0.7


def norm(weight):
    return weight.detach().norm()


def kept_in_a_dictionary(self, t, y, value):
    return value / KEPT.setdefault("norm", norm(self.outer.weight))


def kept_in_a_queue(self, t, y, value):
    if not QUEUE:
        QUEUE.append(norm(self.outer.weight))
    return value / QUEUE[0]


def kept_in_a_variable(self, t, y, value):
    global SIGMA
    SIGMA = norm(self.outer.weight) if SIGMA is None else SIGMA
    return value / SIGMA


def kept_as_a_number(self, t, y, value):
    global SIGMA
    SIGMA = norm(self.outer.weight).item() if SIGMA is None else SIGMA
    return value / SIGMA


def helper(weight):
    return KEPT.setdefault("of a helper", norm(weight))


def kept_by_a_helper(self, t, y, value):
    return value / helper(self.outer.weight)


def kept_in_a_default(self, t, y, value, kept={}):  # noqa: B006
    return value / kept.setdefault("norm", norm(self.outer.weight))


def in_a_closure():
    kept = {}

    def change(self, t, y, value):
        return value / kept.setdefault("norm", norm(self.outer.weight))

    return change


class Store:
    norm = None


def kept_in_a_class(self, t, y, value):
    Store.norm = norm(self.outer.weight) if Store.norm is None else Store.norm
    return value / Store.norm


class Remembering(kinds.Net):
    norms = {}  # noqa: RUF012

    def forward(self, t, y):
        return self.outer(self.hidden(y)) / self.norms.setdefault("norm", norm(self.outer.weight))


@functools.cache
def of_size(size):
    return LAST[0]


LAST = []


def kept_by_a_cache(self, t, y, value):
    LAST[:] = [norm(self.outer.weight)]
    return value / of_size(tuple(self.outer.weight.shape))


CHANGES = {
    "KEPT": kept_in_a_dictionary,
    "QUEUE": kept_in_a_queue,
    "SIGMA": kept_in_a_variable,
    "KEPT of a helper": kept_by_a_helper,
    "a default": kept_in_a_default,
    "kept": in_a_closure(),
    "Store.norm": kept_in_a_class,
    "of_size": kept_by_a_cache,
}


@pytest.fixture(autouse=True)
def _nothing_kept():
    global SIGMA
    KEPT.clear(), QUEUE.clear(), Remembering.norms.clear(), of_size.cache_clear()
    SIGMA = Store.norm = None


def seen(net):
    return look(lambda: copy.deepcopy(net), kinds.TS, np.stack([STATES] * 3), samples=8)


def with_method(change):
    kind = type("Own", (kinds.Net,), {"forward": lambda self, t, y: change(self, t, y, self.outer(self.hidden(y)))})
    return kind()


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_kept_outside_of_a_field_is_named(name):
    net = with_method(CHANGES[name])
    found = seen(net)
    answer = next(a for a in found.answers if a.question == KEPT_OUTSIDE)
    assert answer.off and name.split(" of ")[0] in answer.kept_in
    words = refusal(found)
    assert words is not None and answer.kept_in in words[0]


def test_an_attribute_of_the_class_too():
    answer = next(a for a in seen(Remembering()).answers if a.question == KEPT_OUTSIDE)
    assert answer.off and answer.kept_in == "Remembering.norms"


def test_a_number_too_and_all_is_as_it_was():
    net = with_method(kept_as_a_number)
    net(torch.tensor(0.0), torch.tensor(STATES))
    before = SIGMA
    assert next(a for a in seen(net).answers if a.question == KEPT_OUTSIDE).kept_in == "SIGMA"
    assert before == SIGMA and isinstance(SIGMA, float)


def constants(self, t, y, value):
    COUNTS.append(1)
    return CONSTANTS["rate"] * CONSTANTS.get("more", 2.0) * RATE * value


def kept_by_the_time(self, t, y, value):
    return value * KEPT.setdefault(float(t), 1 + t.detach() ** 2)


@pytest.mark.parametrize("change", [constants, kept_by_the_time], ids=lambda f: f.__name__)
def test_constants_counts_and_what_no_parameter_enters_are_no_memory(change):
    net = with_method(change)
    found = ask_outside(lambda: copy.deepcopy(net), kinds.path(net, STATES.tolist()), (2,))
    assert holders(net) and not [a for a in found if a.off]
    assert CONSTANTS == {"rate": 1.5} and RATE == 0.7


@pytest.mark.parametrize("name", kinds.RIGHT)
def test_a_right_field_keeps_nothing_outside(name):
    make, y0 = kinds.RIGHT[name]
    module = make()
    assert not [a for a in ask_outside(lambda: copy.deepcopy(module), kinds.path(module, y0), (len(y0[0]),)) if a.off]
