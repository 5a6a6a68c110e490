"""Mistakes of users, planted: each a training step, and the kind of finding that has to name it.

These lose gradients; `mistakes_of_values` has the others.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

MISTAKES: dict[str, tuple[tuple[str, ...], Callable[[], Callable[[], None]]]] = {}
UNIT = (0.0, 1.0)


def wrong(*kinds):
    """A function that makes a training step, kept by its name with the findings that it has to have."""

    def keep(make):
        MISTAKES[make.__name__] = kinds, make
        return make

    return keep


def trained(field, y0, *, solve=odeint_adjoint, times=UNIT, last=True, **how):
    """A step with a mean square as its loss."""
    how = {"rtol": 1e-5, "atol": 1e-6, **how}

    def step():
        y = solve(field, y0, torch.tensor(times, dtype=y0.dtype), **how)
        (y[-1] if last else y).square().mean().backward()

    return step


class Dense(nn.Module):
    """y' = net(y), to put a mistake into."""

    def __init__(self, state=3, width=12):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(state, width), nn.Tanh(), nn.Linear(width, state))

    def forward(self, t, y):
        return self.net(y)


@wrong("captured, gradient lost")
def context_set_as_an_attribute():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y) + self.context

    field, encoder, x = Field(), nn.Linear(3, 3), torch.randn(5, 3)

    def step():
        field.context = encoder(x)
        trained(field, x)()

    return step


@wrong("captured, gradient lost")
def layers_in_a_python_list():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(3, 3), nn.Linear(3, 3)]
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, t, y):
            return self.scale * self.layers[1](torch.tanh(self.layers[0](y)))

    return trained(Field(), torch.randn(4, 3))


@wrong("captured, gradient lost")
def closure_over_a_parameter():
    drift = nn.Parameter(torch.randn(3))

    class Field(Dense):
        def forward(self, t, y):
            return self.net(y) + drift

    return trained(Field(), torch.randn(4, 3))


@wrong("captured, gradient lost")
def adjoint_params_forgot_one():
    field, other = Dense(), nn.Linear(3, 3)
    y0 = torch.randn(4, 3)
    return trained(lambda t, y: field(t, y) + other(y), y0, adjoint_params=tuple(field.parameters()))


@wrong("parameter not reached")
def a_layer_that_forward_forgets():
    class Field(Dense):
        def __init__(self):
            super().__init__()
            self.skip = nn.Linear(3, 3)

    return trained(Field(), torch.randn(4, 3))


@wrong("changed before backward")
def time_scale_set_before_each_of_several_solves():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y) * self.elapsed

    field, cell, x = Field(), nn.GRUCell(2, 3), torch.randn(4, 5, 2)

    def step():
        h = torch.zeros(5, 3)
        for i in range(4):
            field.elapsed = torch.tensor(0.3 * (i + 1))
            h = cell(x[i], odeint_adjoint(field, h, torch.tensor(UNIT), rtol=1e-5, atol=1e-6)[-1])
        h.square().mean().backward()

    return step


@wrong("changed before backward")
def second_solve_overwrites_the_noise():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y) * self.noise

    field, x = Field(), torch.randn(5, 3)

    def step():
        loss = 0.0
        for _ in range(2):
            field.noise = torch.randn(5, 3)
            loss = loss + odeint_adjoint(field, x, torch.tensor(UNIT), rtol=1e-5, atol=1e-6)[-1].square().mean()
        loss.backward()

    return step


@wrong("cut off")
def a_part_is_detached():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y) + 0.5 * torch.sin(y).detach()

    return trained(Field(), torch.randn(4, 3))


@wrong("cut off")
def a_weight_through_data():
    class Field(Dense):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(0.7))

        def forward(self, t, y):
            return self.net(y) - self.rate.data * y + 0.1 * self.rate

    return trained(Field(), torch.randn(4, 3), solve=odeint)


@wrong("cut off")
def norm_under_no_grad():
    class Field(Dense):
        def forward(self, t, y):
            with torch.no_grad():
                size = y.norm(dim=1, keepdim=True)
            return self.net(y) / (1 + size)

    return trained(Field(), torch.randn(4, 3))


@wrong("wrong backward")
def wrong_sign_in_a_backward_of_its_own():
    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.cos()

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0].sin()

    class Field(Dense):
        def forward(self, t, y):
            return self.net(Sine.apply(y))

    return trained(Field(), torch.randn(4, 3))


@wrong("wrong backward")
def forgotten_factor_in_a_backward_of_its_own():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    class Field(Dense):
        def forward(self, t, y):
            return self.net(y) - 0.1 * Square.apply(y)

    return trained(Field(), torch.randn(4, 3), solve=odeint)
