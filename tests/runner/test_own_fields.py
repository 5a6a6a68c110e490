"""Fields of every shape come through: decided as they are, or refused with the line to type."""

from __future__ import annotations

import functools
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from odecheck import HOLDS
from odecheck.claims.papers.node import parameter_gradient
from odecheck.errors import BadInput
from odecheck.fields.from_jax import FromJax
from odecheck.record import evaluate
from odecheck.runner.own_fields import module_pairs
from odecheck.runner.validation import validate

LINEAR = nn.Linear(2, 2)
Y0 = torch.tensor([[1.0, 0.5], [0.2, -0.3]])


class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)

    def forward(self, t, state):
        rate = torch.tanh(self.net(state[0]))
        return rate, rate.sum(1, keepdim=True)


class Numbers(Parts):
    def forward(self, t, state):
        rate = torch.tanh(self.net(state[0]))
        return rate, rate.sum(1)


class Plain(Parts):
    def forward(self, t: torch.Tensor, y: torch.Tensor):
        return self.net(y)


class Counting(Parts):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, t, y):
        self.calls += 1
        return torch.tanh(self.net(y))


class Shared(Parts):
    def __init__(self):
        super().__init__()
        self.again = self.net

    def forward(self, t, y):
        return self.again(torch.tanh(self.net(y)))


class Energy(nn.Module):
    def __init__(self):
        super().__init__()
        self.stiffness = nn.Parameter(torch.tensor(2.0))

    def forward(self, t, y):
        with torch.enable_grad():
            y = y if y.requires_grad else y.requires_grad_()
            energy = (y[:, 1] ** 2 / 2 + self.stiffness * y[:, 0] ** 2 / 2).sum()
            (slope,) = torch.autograd.grad(energy, y, create_graph=True)
        return torch.stack([slope[:, 1], -slope[:, 0]], 1)


class Controlled(Parts):
    def __init__(self):
        super().__init__()
        self.controls = torch.randn(2, 2)

    def forward(self, t, y):
        return torch.tanh(self.net(y)) * self.controls.to(y.dtype) * torch.cos(t)


def plain(t, y):
    return torch.tanh(LINEAR(y))


def with_more(t, y, *, scale):
    return scale * torch.tanh(LINEAR(y))


class Turning(nn.Module):
    """z' = i ω z − z |z|² / 10, with a buffer of complex64; z.detach() in it when it is wrong."""

    def __init__(self, wrong: bool = False):
        super().__init__()
        self.wrong, self.speed = wrong, nn.Parameter(torch.tensor(1.3))
        self.register_buffer("i", torch.tensor(1j))

    def forward(self, t, z):
        return self.i * self.speed * (z.detach() if self.wrong else z) - 0.1 * z * z.abs() ** 2


class ComplexWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.3j))

    def forward(self, t, y):
        return (self.w * y).real


class Neuron(nn.Module):
    """The gradient of a network, turned: its last bias is of no influence."""

    def __init__(self, read=lambda bias: bias):
        super().__init__()
        self.inner, self.outer, self.read = nn.Linear(2, 4), nn.Linear(4, 1), read

    def forward(self, t, y):
        with torch.enable_grad():
            y = y if y.requires_grad else y.requires_grad_()
            energy = torch.tanh(self.inner(y)) @ self.outer.weight.T + self.read(self.outer.bias)
            (slope,) = torch.autograd.grad(energy.sum(), y, create_graph=True)
        return torch.stack([slope[:, 1], -slope[:, 0]], 1) + 0.1 * self.outer.weight[:, :2] * self.more()

    def more(self):
        return 1.0


class Leaking(Neuron):
    def more(self):
        return self.outer.bias.detach()


DECIDED = {
    "a tuple": (Parts(), (Y0, torch.zeros(2, 1))),
    "a counter in a buffer": (Counting(), Y0),
    "a module under two names": (Shared(), Y0),
    "a gradient inside": (Energy(), Y0),
    "an unused single parameter": (Neuron(read=lambda bias: 0.0), Y0),
    "a control for each row": (Controlled(), Y0),
    "a plain function": (plain, Y0),
    "a partial": (functools.partial(with_more, scale=0.5), Y0),
    "complex numbers": (Turning(), torch.tensor([[1 + 0.5j], [0.2j]])),
}


@pytest.mark.parametrize("name", DECIDED)
def test_a_right_field_of_any_shape_is_decided(name):
    _, (subject, problem) = module_pairs(*DECIDED[name])
    validate(subject, problem)
    assert problem.field.params > 0
    record = evaluate(parameter_gradient, subject, problem)
    assert record.verdict is HOLDS, record


def weight_normed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        field = Counting()
        nn.utils.weight_norm(field.net, dim=None)
        nn.utils.weight_norm(field.net, "bias", dim=None)
    return field


class Callable:
    def __init__(self):
        self.net = nn.Linear(2, 2)

    def __call__(self, t, y):
        return torch.tanh(self.net(y))


class Decay(nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(0.7))

    def forward(self, t, y):
        return -self.rate * y


class Decaying(Decay):
    def forward(self, t, state):
        assert [part.shape for part in state] == [(), (2,)]
        return tuple(-self.rate * part for part in state)


class Locked(Decay):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


TAKEN = {
    "a compiled function": (torch.compile(plain, backend="eager"), Y0, 6),
    "bfloat16": (Counting().bfloat16(), Y0.bfloat16(), 6),
    "data-parallel": (nn.DataParallel(Counting()), Y0, 6),
    "weight norm of the old kind": (weight_normed(), Y0, 8),
    "an object that can be called": (Callable(), Y0, 6),
    "a single state": (nn.DataParallel(Counting()), Y0[0], 6),
    "one number": (Decay(), torch.tensor(2.0), 1),
    "parts that are single states": (Decaying(), (torch.tensor(2.0), torch.ones(2)), 1),
    "a part of one number": (Numbers(), (Y0, torch.zeros(2)), 6),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_around_a_field_is_taken_off(name):
    field, y0, count = TAKEN[name]
    _, (subject, problem) = module_pairs(field, y0)
    value = subject.module(problem)(torch.tensor(0.0), torch.tensor(problem.y0))
    told = field(torch.tensor(0.0), y0)
    if isinstance(told, tuple):
        told = torch.cat([part.reshape(len(problem.y0), -1) for part in told], 1)
    assert problem.field.params == count
    assert value.dtype == torch.float64
    assert torch.allclose(value, told.double().reshape(value.shape), rtol=0.05 if name == "bfloat16" else 1e-5)


def test_the_constant_of_an_energy_may_be_a_parameter():
    _, (subject, problem) = module_pairs(Neuron(), Y0)
    validate(subject, problem)


def test_a_field_of_jax_takes_rows():
    pytest.importorskip("jax")
    with pytest.raises(BadInput, match="batch axis"):
        module_pairs(FromJax(lambda t, y, args: -y), Y0[0])


class Bare(Energy):
    def forward(self, t, y):
        (slope,) = torch.autograd.grad((y**2).sum() * self.stiffness, y, create_graph=True)
        return slope


REFUSED = {
    "view_as_real of that part": (Parts(), (Y0 * 1j, torch.zeros(2, 1))),
    "torch.view_as_real\\(w": (ComplexWeight(), Y0),
    "without these": (Turning(wrong=True), np.array([[1 + 0.5j]])),
    "functools.partial": (with_more, Y0),
    "torch.enable_grad": (Bare(), Y0),
    "parts \\(batch": (Parts(), (Y0, torch.zeros(3))),
    "the module that was given to it": (torch.jit.script(Plain()), Y0),
    "the same outside of the module": (Locked(), Y0),
    "once, before it is verified": (nn.LazyLinear(2), Y0),
    "FILE.py:block.field": (nn.Linear(2, 2), Y0),
    "outer.bias": (Neuron(read=lambda bias: torch.pi), Y0),  # a number from elsewhere may have been made of it
    "detach": (Leaking(), Y0),
    "module or function itself": (3, Y0),
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_asked_is_refused_with_the_line_to_type(line):
    with pytest.raises(BadInput, match=line):
        validate(*module_pairs(*REFUSED[line])[1])
