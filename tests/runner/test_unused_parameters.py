"""A parameter out of reach of the gradient is refused, and one on which the field does not depend is let in."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from tests.runner.test_validation import Net, passes, refusal


def test_parameters_out_of_reach():
    assert (
        "inner.weight, inner.bias"
        in refusal(Net(lambda self, t, y, value: self.outer(torch.tanh(self.inner(y)).detach()))).seen
    )


def test_a_parameter_that_is_never_used_is_let_in():
    """Of another part of the model, or of a mode that is switched off: the derivative in it is zero."""
    unused = Net()
    unused.extra, unused.single = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.tensor(0.3))
    passes(unused)
    halved = Net(lambda self, t, y, value: 0.5 * value)
    halved.extra = nn.Parameter(torch.zeros(3))
    passes(halved)


def test_a_parameter_that_was_read_once_and_is_not_used_again():
    """Also where nothing of it is left but something that was made of it."""
    shared = {}

    class Single(Net):
        def __init__(self, made):
            super().__init__(lambda self, t, y, value: value * (shared.get("k") or self.keep()))
            self.k, self.made = nn.Parameter(torch.tensor(0.7)), made

        def keep(self):
            shared["k"] = self.made(self.k)
            return shared["k"]

    for made in (lambda k: k.item(), lambda k: np.exp(k.item()), lambda k: k.detach() ** 2):
        for called in (False, True):
            shared.clear()
            module = Single(made).double()
            if called:
                module(torch.tensor(0.0), torch.ones(1, 2, dtype=torch.float64))
            assert "the parameters k" in refusal(module).seen


def test_what_stands_in_the_place_of_a_parameter_may_be_kept_anywhere():
    """A zero times the true weight, and something of it that an earlier call has kept."""
    shared = {}

    def in_a_buffer(self, t, y, value):
        if not hasattr(self, "kept"):
            self.register_buffer("kept", self.outer.weight.detach().flatten().flip(0).clone())
        return torch.tanh(self.inner(y)) @ self.kept.flip(0).reshape(2, -1).T + 0 * self.outer.weight.sum()

    def made_of_it(self, t, y, value):
        kept = shared.setdefault("made", self.outer.weight.detach().exp())
        return torch.tanh(self.inner(y)) @ kept.T + 0 * self.outer.weight.sum()

    def in_numpy(self, t, y, value):
        kept = shared.setdefault("numbers", self.outer.weight.detach().numpy().copy())
        return torch.tanh(self.inner(y)) @ torch.as_tensor(kept).T + 0 * self.outer.weight.sum()

    for change in (in_a_buffer, made_of_it, in_numpy):
        shared.clear()
        module = Net(change).double()
        module(torch.tensor(0.0), torch.ones(1, 2, dtype=torch.float64))
        assert "the parameters outer.weight are given changes the field" in refusal(module).seen

    class Scaled(Net):
        def __init__(self):
            super().__init__(lambda self, t, y, value: value * shared.setdefault("k", self.k.item()) + 0 * self.k)
            self.k = nn.Parameter(torch.tensor(0.7))

    shared.clear()
    module = Scaled().double()
    module(torch.tensor(0.0), torch.ones(1, 2, dtype=torch.float64))
    assert "the parameters k are given changes the field" in refusal(module).seen


def test_a_parameter_times_a_true_zero_is_let_in():
    """A gravity that does not depend on the speed, as in examples of torchdiffeq: its weight is given zeros."""
    passes(Net(lambda self, t, y, value: y + torch.tanh(self.inner(torch.zeros_like(y))) @ self.outer.weight.T))
    passes(Net(lambda self, t, y, value: value + 0.0 * self.inner.weight.sum() + self.inner.bias.sum() * 0))
    with_constants = Net(lambda self, t, y, value: value * self.scale + self.inner(0 * y).mean(1, keepdim=True))
    with_constants.register_buffer("scale", torch.tensor([2.0, 3.0]))
    passes(with_constants)
