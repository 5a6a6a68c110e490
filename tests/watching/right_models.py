"""Right models of many kinds, each a training step: nothing may be found in any of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torchdiffeq
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

MODELS: dict[str, Callable[[], Callable[[], None]]] = {}


def right(make):
    """A function that makes a training step, kept by its name."""
    MODELS[make.__name__] = make
    return make


def net(*widths, act=nn.Tanh):
    """A dense network."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1])


class Dense(nn.Module):
    """y' = net(t, y)."""

    def __init__(self, state=4, width=16):
        super().__init__()
        self.net = net(state + 1, width, state)

    def forward(self, t, y):
        return self.net(torch.cat([y, t.expand(len(y), 1)], 1))


@right
def classifier():
    field, stem, head = Dense(), nn.Linear(6, 4), nn.Linear(4, 3)
    x, label = torch.randn(8, 6), torch.arange(8) % 3

    def step():
        z = odeint_adjoint(field, stem(x), torch.tensor([0.0, 1.0]), rtol=1e-4, atol=1e-5, method="dopri5")[-1]
        nn.functional.cross_entropy(head(z), label).backward()

    return step


@right
def relu_image_block():
    class Field(nn.Module):
        def __init__(self, c=4):
            super().__init__()
            self.norm1, self.norm2 = nn.GroupNorm(2, c), nn.GroupNorm(2, c)
            self.a, self.b = nn.Conv2d(c + 1, c, 3, padding=1), nn.Conv2d(c + 1, c, 3, padding=1)

        def forward(self, t, x):
            time = torch.ones_like(x[:, :1]) * t
            out = self.a(torch.cat([time, torch.relu(self.norm1(x))], 1))
            return self.b(torch.cat([time, torch.relu(self.norm2(out))], 1))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.field = Field()
            self.integration_time = torch.tensor([0, 1]).float()

        def forward(self, x):
            self.integration_time = self.integration_time.type_as(x)
            return odeint_adjoint(self.field, x, self.integration_time, rtol=1e-3, atol=1e-3)[1]

    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), Block(), nn.Flatten(), nn.Linear(4 * 16, 3))
    x, label = torch.randn(4, 1, 4, 4), torch.arange(4) % 3
    return lambda: nn.functional.cross_entropy(model(x), label).backward()


@right
def latent_ode():
    class Latent(nn.Module):
        def __init__(self):
            super().__init__()
            self.field, self.rnn, self.decoder = net(4, 20, 4, act=nn.ELU), nn.GRU(2, 8), net(4, 20, 2, act=nn.ReLU)

        def forward(self, x, t):
            _, hidden = self.rnn(x.flip(0))
            mean, logvar = hidden[0].chunk(2, -1)
            z0 = mean + torch.randn_like(mean) * (0.5 * logvar).exp()
            return self.decoder(odeint(lambda t, z: self.field(z), z0, t, rtol=1e-5, atol=1e-6)), mean, logvar

    model, t = Latent(), torch.linspace(0, 2, 12)
    x = torch.stack([torch.sin(t), torch.cos(t)], -1)[:, None] * torch.rand(1, 5, 1)

    def step():
        got, mean, logvar = model(x, t)
        kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(-1).mean()
        (((got - x) ** 2).sum((0, 2)).mean() + 0.1 * kl).backward()

    return step


@right
def flow_with_divergence():
    class CNF(nn.Module):
        def __init__(self):
            super().__init__()
            self.hyper = net(1, 16, 2 * 2 * 8 + 8)

        def forward(self, t, states):
            z = states[0]
            with torch.set_grad_enabled(True):
                z.requires_grad_(True)
                p = self.hyper(t.reshape(1, 1))[0]
                w, u, b = p[:16].reshape(8, 2), p[16:32].reshape(8, 2), p[32:]
                dz = torch.tanh(z @ w.T + b) @ u / 8
                trace = sum(torch.autograd.grad(dz[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(2))
            return dz, -trace[:, None]

    field, x = CNF(), torch.randn(16, 2)

    def step():
        t = torch.tensor([1.0, 0.0])
        z, logp = odeint_adjoint(field, (x, torch.zeros(16, 1)), t, atol=1e-5, rtol=1e-5, method="dopri5")
        (0.5 * (z[-1] ** 2).sum(1) + logp[-1][:, 0]).mean().backward()

    return step


@right
def ffjord_with_counter_and_noise():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(4, 16, 3, act=nn.Softplus)
            self.register_buffer("_num_evals", torch.tensor(0.0))
            self._e = None

        def before_odeint(self):
            self._e = None
            self._num_evals.fill_(0)

        def forward(self, t, states):
            y = states[0]
            self._num_evals += 1
            if self._e is None:
                self._e = torch.randn_like(y)
            with torch.enable_grad():
                y.requires_grad_(True)
                dy = self.net(torch.cat([y, torch.ones_like(y[:, :1]) * t], 1))
                e_dz = torch.autograd.grad(dy, y, self._e, create_graph=True)[0]
            return dy, -(e_dz * self._e).sum(1, keepdim=True)

    field, x = Field(), torch.randn(8, 3)

    def step():
        field.before_odeint()
        z, d = odeint_adjoint(field, (x, torch.zeros(8, 1)), torch.tensor([0.0, 0.5]), rtol=1e-5, atol=1e-5)
        ((z[-1] ** 2).sum(1) + d[-1][:, 0]).mean().backward()

    return step


@right
def ode_rnn():
    field, cell, head = net(5, 16, 5), nn.GRUCell(2, 5), nn.Linear(5, 1)
    t, x = torch.linspace(0, 1, 7), torch.randn(7, 3, 2)

    def step():
        h = torch.zeros(3, 5)
        for i in range(6):
            h = odeint(lambda s, h: field(h), h, t[i : i + 2], rtol=1e-4, atol=1e-5)[-1]
            h = cell(x[i], h)
        head(h).square().mean().backward()

    return step


@right
def neural_cde():
    class Field(nn.Module):
        def __init__(self, coefficients, t):
            super().__init__()
            self.net, self.c, self.t = net(4, 16, 8), coefficients, t

        def forward(self, t, h):
            i = (torch.bucketize(t.detach(), self.t) - 1).clamp(0, len(self.t) - 2)
            s, (b, c, d) = t - self.t[i], self.c[:, i].unbind(1)
            return (self.net(h).tanh().reshape(-1, 4, 2) @ (b + 2 * c * s + 3 * d * s**2)[..., None])[..., 0]

    field, stem = Field(0.5 * torch.randn(6, 5, 3, 2), torch.linspace(0, 1, 6)), nn.Linear(2, 4)
    x0 = torch.randn(6, 2)

    def step():
        t = torch.tensor([0.0, 1.0])
        z = odeint_adjoint(field, stem(x0), t, method="rk4", options={"step_size": 0.1})
        z[-1].square().mean().backward()

    return step


@right
def hamiltonian():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.energy = net(2, 16, 1)

        def forward(self, t, y):
            with torch.enable_grad():
                y = y if y.requires_grad else y.detach().requires_grad_()
                g = torch.autograd.grad(self.energy(y).sum(), y, create_graph=True)[0]
            return torch.cat([g[:, 1:], -g[:, :1]], 1)

    field, y0 = Field(), torch.randn(5, 2, dtype=torch.float64)
    field.double()
    t = torch.linspace(0, 1.3, 5, dtype=torch.float64)
    return lambda: odeint_adjoint(field, y0, t, rtol=1e-7, atol=1e-9).square().sum().backward()


@right
def augmented():
    field, head = Dense(5), nn.Linear(5, 1)
    x = torch.randn(10, 2)

    def step():
        y0 = torch.cat([x, torch.zeros(10, 3)], 1)
        head(odeint(field, y0, torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-5)[-1]).square().mean().backward()

    return step


@right
def second_order():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.acceleration = net(4, 16, 2)

        def forward(self, t, state):
            x, v = state
            return v, self.acceleration(torch.cat([x, v], 1))

    field, v0, x = Field(), nn.Linear(2, 2), torch.randn(6, 2)

    def step():
        got = odeint_adjoint(field, (x, v0(x)), torch.linspace(0, 1, 4), rtol=1e-5, atol=1e-6)
        got[0].square().mean().backward()

    return step


@right
def heavy_ball():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.gamma = net(3, 16, 3), nn.Parameter(torch.tensor([-3.0]))
            self.nfe = 0

        def forward(self, t, y):
            self.nfe += 1
            h, m = y.chunk(2, 1)
            return torch.cat([nn.functional.hardtanh(m, -5, 5), self.net(h) - torch.sigmoid(self.gamma) * m], 1)

    field, stem = Field(), nn.Linear(3, 6)
    x = torch.randn(4, 3)

    def step():
        z = odeint_adjoint(field, stem(x), torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-6)[-1]
        z.square().mean().backward()

    return step


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
def training_times():
    field = Dense(2).double()
    t = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64, requires_grad=True)
    y0 = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    return lambda: odeint_adjoint(field, y0, t, rtol=1e-7, atol=1e-9).square().sum().backward()


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
