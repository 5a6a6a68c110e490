"""Right models in which a solve is one block among others, ends by itself, or is given what it needs."""

from __future__ import annotations

import torch
import torchdiffeq
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

from .right_models import Dense, net, right


@right
def stacked_blocks():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.field = Dense(3)
            self.register_buffer("t", torch.tensor([0.0, 1.0]))

        def forward(self, x):
            return odeint_adjoint(self.field, x, self.t, rtol=1e-4, atol=1e-4)[-1]

    model, x = nn.Sequential(Block(), nn.Linear(3, 3), Block(), nn.Linear(3, 1)), torch.randn(5, 3)
    return lambda: model(x).square().mean().backward()


@right
def event():
    class Ball(nn.Module):
        def __init__(self):
            super().__init__()
            self.gravity = nn.Parameter(torch.tensor(9.8))

        def forward(self, t, state):
            _, v = state
            return v, -self.gravity * torch.ones_like(v)

    field, y0 = Ball(), (torch.tensor([3.0]), torch.tensor([0.5]))

    def step():
        t, y = torchdiffeq.odeint_event(
            field, y0, torch.tensor(0.0), event_fn=lambda t, y: y[0][0], odeint_interface=odeint_adjoint
        )
        (t + y[1][-1].sum()).backward()

    return step


@right
def batch_norm_in_training():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.norm, self.b = nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

        def forward(self, t, y):
            return self.b(torch.tanh(self.norm(self.a(y))))

    field, x = Field(), torch.randn(12, 3)
    return lambda: odeint(field, x, torch.tensor([0.0, 1.0]), rtol=1e-4, atol=1e-5)[-1].square().mean().backward()


@right
def captured_context_told():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(5, 16, 3)

        def forward(self, t, y):
            return self.net(torch.cat([y, self.context], 1))

    field, encoder, x = Field(), nn.Linear(4, 2), torch.randn(6, 4)

    def step():
        field.context = encoder(x)
        told = (*field.parameters(), field.context)
        z = odeint_adjoint(
            field, torch.zeros(6, 3), torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-6, adjoint_params=told
        )
        z[-1].square().mean().backward()

    return step


@right
def euler_encoder():
    field = Dense(3)
    x = torch.randn(4, 3)
    return lambda: odeint(field, x, torch.linspace(0, 1, 11), method="euler")[-1].square().mean().backward()


@right
def own_odeint():
    import odecheck

    field, x = Dense(3).double(), torch.randn(4, 3, dtype=torch.float64)
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    return lambda: odecheck.odeint(field, x, t, rtol=1e-6, atol=1e-8)[-1].square().mean().backward()
