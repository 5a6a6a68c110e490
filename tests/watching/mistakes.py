"""Mistakes of users, planted: each a training step, and the kind of finding that has to name it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torchdiffeq
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


@wrong("remembers its first call")
def frozen_time():
    class Field(Dense):
        start = None

        def forward(self, t, y):
            if self.start is None:
                self.start = t
            return self.net(y) * torch.cos(3 * self.start)

    return trained(Field(), torch.randn(4, 3))


@wrong("caches its weights")
def weights_cached_at_the_first_call():
    class Field(Dense):
        cached = None

        def forward(self, t, y):
            if self.cached is None:
                self.cached = self.net[0].weight.detach().clone()
            hidden = torch.tanh(y @ self.cached.T + self.net[0].bias)
            return self.net[2](hidden) + 0.0 * self.net[0].weight.sum()

    return trained(Field(), torch.randn(4, 3))


@wrong("float32 clock")
def time_rounded_by_ones():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 3)).double()

        def forward(self, t, y):
            return self.net(torch.cat([y, torch.ones(len(y), 1) * t], 1))

    return trained(Field(), torch.randn(4, 3, dtype=torch.float64), rtol=1e-6, atol=1e-8)


@wrong("float32 inside")
def a_cast_in_a_float64_field():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(3, 3)

        def forward(self, t, y):
            return torch.tanh(self.net(y.float())).double()

    return trained(Field(), torch.randn(4, 3, dtype=torch.float64), rtol=1e-5, atol=1e-6)


@wrong("float32 hurts")
def small_signal_on_a_large_offset():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(5e3))

        def forward(self, t, y):
            large, small = y.unbind(-1)
            gap = large - 1e4
            return torch.stack([0.001 * small, self.rate * (gap + torch.sin(3 * t)) - small * 0.1], -1)

    field, y0 = Field(), torch.tensor([[1e4, 0.1], [1e4, 0.2]])
    return trained(field, y0, rtol=1e-6, atol=1e-6, method="dopri5")


@wrong("uses up its steps")
def too_few_steps_granted():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y) * 30 * torch.cos(40 * t)

    step = trained(Field(), torch.randn(4, 3), method="dopri5", options={"max_num_steps": 5})

    def goes_on():
        with torch.autograd.set_detect_anomaly(False):
            try:
                step()
            except AssertionError:
                return

    return goes_on


@wrong("stiff")
def a_stiff_relaxation():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(400.0, dtype=torch.float64))

        def forward(self, t, y):
            return -self.rate * (y - torch.cos(t))

    return trained(Field(), torch.ones(2, 1, dtype=torch.float64), solve=odeint, rtol=1e-3, atol=1e-4)


@wrong("stiff")
def too_stiff_for_a_truth():
    class Field(nn.Module):
        def forward(self, t, y):
            return -6000 * (y - torch.cos(t))

    y0 = torch.ones(2, 1, dtype=torch.float64, requires_grad=True)
    return trained(Field(), y0, solve=odeint, rtol=1e-3, atol=1e-4)


@wrong("backward is dear")
def a_backward_solve_for_each_output():
    times = tuple(i / 40 for i in range(41))
    return trained(Dense(), torch.randn(4, 3), times=times, last=False)


@wrong("noise in every evaluation")
def noise_drawn_in_every_evaluation():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y + 0.1 * torch.randn_like(y))

    return trained(Field(), torch.randn(4, 3), method="rk4", options={"step_size": 0.1})


@wrong("dropout active")
def dropout_left_on():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Dropout(0.2), nn.Linear(32, 3))

        def forward(self, t, y):
            return self.net(y)

    return trained(Field(), torch.randn(4, 3), method="rk4", options={"step_size": 0.1})


@wrong("dropout active")
def dropout_as_a_function():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(nn.functional.dropout(y, 0.3))

    return trained(Field(), torch.randn(40, 3), method="rk4", options={"step_size": 0.1})


@wrong("depends on the number of calls")
def a_schedule_that_counts_calls():
    class Field(Dense):
        calls = 0

        def forward(self, t, y):
            self.calls += 1
            return self.net(y) * (1 + 0.1 * self.calls)

    return trained(Field(), torch.randn(4, 3), method="rk4", options={"step_size": 0.1})


@wrong("changes its input")
def writes_into_the_state():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y.mul_(0.9))

    return trained(Field(), torch.randn(4, 3), method="rk4", options={"step_size": 0.1})


@wrong("loss sees the start")
def indexes_the_first_time():
    field, y0 = Dense(), torch.randn(4, 3, requires_grad=True)

    def step():
        odeint(field, y0, torch.tensor(UNIT), rtol=1e-5, atol=1e-6)[0].square().mean().backward()

    return step


@wrong("loss sees one time")
def many_times_and_one_of_them_in_the_loss():
    return trained(Dense(), torch.randn(4, 3), times=(0.0, 0.25, 0.5, 0.75, 1.0))


@wrong("no gradient")
def solve_under_no_grad():
    field, head, y0 = Dense(), nn.Linear(3, 1), torch.randn(4, 3)

    def step():
        with torch.no_grad():
            z = torchdiffeq.odeint(field, y0, torch.tensor(UNIT), rtol=1e-5, atol=1e-6)[-1]
        head(z).mean().backward()

    return step


@wrong("coarse steps")
def an_euler_encoder():
    return trained(Dense(), 2 * torch.randn(4, 3), solve=odeint, method="euler", options={"step_size": 0.25})


@wrong("gradient below atol")
def a_mean_over_many_below_the_tolerance():
    field = Dense(width=40)
    for p in field.parameters():
        p.data.mul_(3)
    return trained(field, torch.randn(2000, 3), rtol=1e-3, atol=1e-2, times=(0.0, 2.0))
