"""One counter: within another, of any kind of forward, and of a module that is as it was afterwards."""

import pytest
import torch
from torch import nn

from odecheck.instruments.step_counts import Counter, attach, counted, evaluations
from odecheck.solvers import Adaptive


class Plain(nn.Module):
    def forward(self, t, y):
        return y


class Optional(nn.Module):
    def forward(self, t, state, noise=None):
        return state if noise is None else noise


class Named(nn.Module):
    def forward(self, t, y, *, twice=False):
        return 2 * y if twice else y


Y = torch.ones(3, 2)


@pytest.mark.parametrize("make", [Plain, Optional, Named, lambda: torch.jit.script(Plain())])
def test_every_call_is_counted_and_nothing_else_changes(make):
    module = make()
    before = type(module), set(vars(module))
    with evaluations(module) as seen:
        assert torch.equal(module(0.0 * Y.sum(), Y), Y)
        module(Y.sum(), Y)
    module(Y.sum(), Y)
    assert seen.nfe == 2 and (type(module), set(vars(module))) == before


def test_more_arguments_reach_the_field():
    noisy, named = Optional(), Named()
    with evaluations(noisy) as one, evaluations(named) as other:
        assert torch.equal(noisy(0.0, Y, 3 * Y), 3 * Y) and torch.equal(named(0.0, Y, twice=True), 2 * Y)
        assert torch.equal(named(t=0.0, y=Y), Y)
    assert (one.nfe, other.nfe) == (1, 2)


@pytest.mark.parametrize("rows", [False, True])
def test_a_count_within_a_count_takes_nothing_from_it(rows):
    module = Plain()
    with counted(module, Adaptive("dopri5"), rows=rows) as outer:
        module(0.0, Y)
        with evaluations(module) as inner:
            module(0.0, Y)
        module(0.0, Y)
    assert (outer.forward.nfe, inner.nfe, outer.forward.rows) == (3, 1, 9 if rows else 0)


def test_several_fields_and_phases():
    counter, fields = Counter(), (Plain(), Optional())
    ends = [attach(field, counter) for field in fields]
    for phase, times in ((counter.forward, 1), (counter.backward, 2), (counter.nowhere, 4)):
        counter.now = phase
        for _ in range(times):
            [field(0.0, Y) for field in fields]
    for end in ends[::-1]:
        end()
    assert (counter.forward.nfe, counter.backward.nfe, counter.nowhere.nfe) == (2, 4, 8)
    assert [type(field) for field in fields] == [Plain, Optional] and not any("callback" in n for n in vars(fields[0]))
