"""The state of a user's objects: kept without a copy of them, lent, and put back."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import nn

from odecheck.watching.held import Held

COUNT = 0
TABLE = {"weight": torch.ones(2)}


class Odd(nn.Module):
    """State in every kind of place."""

    shared = torch.full((2,), 3.0)

    def __init__(self):
        super().__init__()
        self.layer, self.log, self.calls = nn.Linear(2, 2), [], 0
        self.register_buffer("steps", torch.zeros(()))
        self.pair, self.array = (torch.ones(2), torch.zeros(2)), np.zeros(3)
        self.draw, self.inner = torch.Generator().manual_seed(1), functools.partial(torch.add, torch.ones(2))

    def forward(self, t, y):
        global COUNT
        COUNT += 1
        self.calls += 1
        self.steps += 1
        self.log.append(float(t))
        self.array[0] += 1
        self.new = y
        torch.rand(1, generator=self.draw)
        TABLE["weight"].add_(1)
        return self.layer(y) + self.inner(self.shared) + self.pair[0] + TABLE["weight"]


def state(odd):
    """All of it, as numbers."""
    return (
        COUNT, odd.calls, float(odd.steps), list(odd.log), odd.array.tolist(), hasattr(odd, "new"),
        odd.draw.get_state().tolist(), TABLE["weight"].tolist(), odd.layer.weight.tolist(), Odd.shared.tolist(),
    )  # fmt: skip


def test_what_a_call_does_to_lent_objects_is_gone_afterwards():
    odd = Odd()
    odd(torch.tensor(0.0), torch.ones(2))
    held, before = Held(odd, {}), state(odd)
    parameters = dict(odd.named_parameters())
    with held.lent() as (root, leaves):
        first = root(torch.tensor(0.5), torch.ones(2))
        assert leaves.keys() == {"layer.weight", "layer.bias"}
        assert all(odd.get_parameter(name) is not parameters[name] for name in leaves)
    assert state(odd) == before
    assert all(odd.get_parameter(name) is p for name, p in parameters.items())
    with held.lent() as (root, _):
        assert torch.equal(root(torch.tensor(0.5), torch.ones(2)), first)


def test_the_old_state_is_lent_after_an_optimizer_has_moved_on():
    odd = Odd()
    held = Held(odd, {})
    with torch.no_grad():
        old = odd.layer.weight.clone()
        odd.layer.weight.mul_(2)
    odd.extra = torch.ones(1)
    with held.lent(torch.float64) as (root, leaves):
        assert torch.equal(root.layer.weight, old.double())
        assert leaves["layer.weight"].dtype == torch.float64
        assert not hasattr(root, "extra")
    assert torch.equal(odd.layer.weight, 2 * old)
    assert odd.layer.weight.dtype == torch.float32
    assert "layer.weight" in held.moved()


def test_an_exception_inside_puts_everything_back():
    odd = Odd()
    held, before = Held(odd, {}), state(odd)
    try:
        with held.lent() as (root, _):
            root(torch.tensor(0.0), torch.ones(2))
            raise KeyError
    except KeyError:
        pass
    assert state(odd) == before


def test_many_solves_share_one_copy_of_each_state():
    odd, memo = Odd(), {}
    helds = [Held(odd, memo) for _ in range(5)]
    copies = {id(kept.copy) for held in helds for kept in held.tensors.values()}
    assert len(copies) == len(helds[0].tensors)
    with torch.no_grad():
        odd.layer.weight.data.mul_(2)  # does not show in its version
    assert len({id(k.copy) for h in [*helds, Held(odd, memo)] for k in h.tensors.values()}) == len(copies) + 1
