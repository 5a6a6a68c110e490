"""Mistakes of users that no error of a solve shows: states that are remembered, gradients that are nothing, or none."""

from __future__ import annotations

import torch
from torch import nn
from torchdiffeq import odeint

from .mistakes import Dense, trained, wrong


@wrong("remembers its first call")
def statistics_of_the_first_state():
    class Field(Dense):
        mean = None

        def forward(self, t, y):
            if self.mean is None:
                self.mean, self.width = y.mean(0).detach(), y.std(0).detach()
            return self.net((y - self.mean) / self.width)

    return trained(Field(), torch.randn(8, 3), solve=odeint)


@wrong("remembers its first call")
def divides_by_the_largest_state_so_far():
    class Field(Dense):
        largest = torch.tensor(0.0)

        def forward(self, t, y):
            self.largest = torch.maximum(self.largest, y.detach().abs().max())
            return self.net(y / self.largest)

    return trained(Field(), torch.randn(4, 3), solve=odeint, times=(0.0, 3.0))


@wrong("depends on the number of calls", "cut off")
def a_delay_by_the_call_before():
    class Field(Dense):
        before = None

        def __init__(self):
            super().__init__()
            self.late = nn.Linear(3, 3)

        def forward(self, t, y):
            late = y if self.before is None else self.before
            self.before = y.detach().clone()
            return self.net(y) + torch.tanh(self.late(late))

    return trained(Field(), torch.randn(4, 3), solve=odeint, rtol=1e-3, atol=1e-3)


@wrong("gradient not finite")
def the_norm_of_what_is_zero():
    class Field(Dense):
        def forward(self, t, y):
            return self.net(y) * torch.sqrt((0 * y).sum(1, keepdim=True))

    return trained(Field(), torch.randn(4, 3), solve=odeint)


@wrong("constant")
def a_clamp_that_holds_a_parameter():
    class Field(Dense):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(-3.0))

        def forward(self, t, y):
            return self.net(y) * self.rate.clamp(min=0.1)

    return trained(Field(), torch.randn(4, 3))


@wrong("options ignored")
def a_step_size_for_adaptive_steps():
    return trained(Dense(), torch.randn(4, 3), solve=odeint, options={"step_size": 0.01})
