"""More mistakes of users: in a branch or a layer alone, noise of other libraries, and what a tolerance does not see."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

from .mistakes import UNIT, Dense, trained, wrong

RK4 = {"method": "rk4", "options": {"step_size": 0.1}}


@wrong("cut off")
def a_detach_for_a_short_while():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y.detach() if 0.30 < t < 0.36 else y)

    return trained(Field(), torch.randn(4, 3), solve=odeint)


@wrong("cut off")
def half_of_a_hidden_layer_detached():
    class Field(Dense):
        def forward(self, t, y):
            h = torch.tanh(self.net[0](y))
            return self.net[2](torch.cat([h[:, :6], h[:, 6:].detach()], 1))

    return trained(Field(), torch.randn(4, 3))


@wrong("captured, gradient lost")
def adjoint_params_empty():
    return trained(Dense(), torch.randn(4, 3, requires_grad=True), adjoint_params=())


@wrong("changed before backward")
def a_number_of_the_class_set_before_backward():
    class Field(Dense):
        rate = 1.0

        def forward(self, t, y):
            return self.net(y) * self.rate

    field, y0 = Field(), torch.ones(4, 3)

    def step():
        y = odeint_adjoint(field, y0, torch.tensor(UNIT), rtol=1e-5, atol=1e-6)[-1]
        field.rate = 2.0
        y.square().mean().backward()

    return step


@wrong("float32 clock")
def time_through_a_number_of_python():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(4, 3).double()

        def forward(self, t, y):
            return torch.tanh(self.net(torch.cat([y, torch.full((len(y), 1), float(t))], 1)))

    return trained(Field(), torch.randn(4, 3, dtype=torch.float64), rtol=1e-6, atol=1e-8)


@wrong("noise in every evaluation")
def noise_of_numpy():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y) + 0.1 * torch.as_tensor(np.random.randn(*y.shape), dtype=y.dtype)  # noqa: NPY002

    return trained(Field(), torch.randn(4, 3), **RK4)


@wrong("noise in every evaluation")
def noise_of_python():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y) + 0.1 * random.random()

    return trained(Field(), torch.randn(4, 3), **RK4)


@wrong("dropout active")
def dropout_inside_of_a_layer():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(3, 3, num_layers=2, dropout=0.3)

        def forward(self, t, y):
            return self.rnn(y[None])[0][0] - y

    return trained(Field(), torch.randn(4, 3), solve=odeint, **RK4)


@wrong("batch norm in training mode")
def batch_norm_inside():
    class Field(Dense):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, t, y):
            return self.net(self.norm(y))

    return trained(Field(), torch.randn(8, 3))


@wrong("steps at minimum")
def steps_that_may_not_be_shorter():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y) * 10 * torch.cos(30 * t)

    return trained(Field(), torch.randn(4, 3), solve=odeint, options={"min_step": 0.1})


@wrong("loose tolerance")
def a_tolerance_that_is_too_loose_for_the_loss():
    field = Dense()
    for p in field.parameters():
        p.data.mul_(2)
    return trained(field, torch.randn(4, 3), rtol=0.1, atol=0.1, times=(0.0, 5.0), solve=odeint)


class Cut(nn.Module):
    """y' = net(y) − ½ sin y, with a detach in it."""

    def __init__(self, cut: bool = True):
        super().__init__()
        self.cut, self.net = cut, nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, t: torch.Tensor, y: torch.Tensor):
        more = torch.sin(y)
        return self.net(y) - 0.5 * (more.detach() if self.cut else more)


@wrong("cut off")
def a_detach_in_a_module_of_torchscript():
    return trained(torch.jit.script(Cut()), torch.randn(4, 3))


@wrong("cut off")
def a_detach_beside_a_layer_that_begins_at_zero():
    field = Cut()
    for p in field.net[0].parameters():
        nn.init.zeros_(p)
    return trained(field, torch.randn(4, 3), solve=odeint)


@wrong("cut off")
def a_detach_beside_a_spectral_norm():
    field = Cut()
    nn.utils.parametrizations.spectral_norm(field.net[0])
    return trained(field, torch.randn(4, 3), solve=odeint)


@wrong("spectral norm in training mode")
def a_power_iteration_that_has_just_begun():
    field = Dense()
    nn.utils.spectral_norm(field.net[0])
    return trained(field, torch.randn(4, 3), solve=odeint)


@wrong("noise in every evaluation")
def noise_drawn_at_the_start_of_each_solve_twice():
    class Field(Dense):
        def forward(self, t, y):
            if t == 0.0:
                self.noise = torch.randn_like(y)
            return self.net(y) + 0.1 * self.noise

    return trained(Field(), torch.randn(4, 3), **RK4)


@wrong("loose adjoint")
def an_adjoint_of_another_tolerance():
    field = Dense(width=40)
    for p in field.parameters():
        p.data.mul_(3)
    return trained(field, 3 * torch.randn(4, 3), times=(0.0, 3.0), adjoint_rtol=0.1, adjoint_atol=0.1)


@wrong("steps over kinks")
def backpropagation_through_few_steps_over_kinks():
    torch.manual_seed(1)
    return trained(Cut(cut=False), torch.randn(4, 3), solve=odeint, rtol=1e-7, atol=1e-8)


@wrong("cut off")
def a_gradient_straight_through():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y + (torch.tanh(3 * y) - y).detach())

    return trained(Field(), torch.randn(4, 3), solve=odeint)


@wrong("cut off")
def a_hook_that_scales_gradients():
    class Field(Dense):
        def forward(self, t, y):
            out = self.net(y)
            if out.requires_grad:
                out.register_hook(lambda g: 0.5 * g)
            return out

    return trained(Field(), torch.randn(4, 3), solve=odeint)


@wrong("depends on the number of calls")
def a_running_mean_of_the_state():
    class Field(Dense):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(3))

        def forward(self, t, y):
            self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
            return self.net(y - self.mean)

    return trained(Field(), torch.randn(4, 3), **RK4)
