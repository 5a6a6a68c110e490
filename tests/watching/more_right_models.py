"""More right models: what people do around a solve that is unusual, and right."""

from __future__ import annotations

import functools

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torchdiffeq import odeint, odeint_adjoint

from .right_models import net, right

UNIT = torch.tensor([0.0, 1.0])


class Autonomous(nn.Module):
    """y' = f(y) cos(ωt), ω = 0 by default."""

    def __init__(self, f, omega=0.0):
        super().__init__()
        self.f, self.omega = f, omega

    def forward(self, t, y):
        return self.f(y) * torch.cos(self.omega * t)


def trained(field, y0, t=UNIT, solve=odeint_adjoint, **how):
    """A step with a sum of squares as its loss."""
    how = {"rtol": 1e-4, "atol": 1e-5, **how}
    return lambda: solve(field, y0, t, **how)[-1].square().sum().backward()


@right
def gru_cell_as_a_field():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.GRUCell(3, 3)

        def forward(self, t, h):
            return self.cell(torch.sin(t).expand(len(h), 3).contiguous(), h) - h

    return trained(Field(), torch.randn(4, 3))


@right
def default_tolerances_in_float32():
    f = net(3, 50, 3)
    return trained(lambda t, y: f(y**3), torch.randn(20, 3), torch.linspace(0, 1, 10), odeint, rtol=1e-7, atol=1e-9)


@right
def weight_norm():
    normed = nn.utils.parametrizations.weight_norm
    f = nn.Sequential(normed(nn.Linear(3, 8)), nn.Softplus(), normed(nn.Linear(8, 3)))
    return trained(Autonomous(f), torch.randn(4, 3))


@right
def one_layer_under_two_names():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3)
            self.b = self.a

        def forward(self, t, y):
            return torch.tanh(self.b(torch.tanh(self.a(y))))

    return trained(Field(), torch.randn(4, 3))


@right
def decreasing_times_that_ask():
    y0 = torch.randn(4, 3, requires_grad=True)
    return trained(Autonomous(net(3, 16, 3), 1.0), y0, torch.linspace(2, 0, 6).requires_grad_())


@right
def a_method_of_the_model():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.rate, self.decoder = nn.Linear(2, 3), net(3, 16, 3), nn.Linear(3, 1)

        def dynamics(self, t, z):
            return self.rate(z)

        def forward(self, x):
            return self.decoder(odeint(self.dynamics, self.encoder(x), UNIT, rtol=1e-4, atol=1e-5)[-1])

    model, x = Model(), torch.randn(4, 2)
    return lambda: model(x).square().mean().backward()


@right
def the_model_as_its_own_field():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.rate, self.decoder = nn.Linear(2, 3), net(3, 16, 3), nn.Linear(3, 1)

        def forward(self, t, z):
            return self.rate(z)

        def run(self, x):
            return self.decoder(odeint_adjoint(self, self.encoder(x), UNIT, rtol=1e-4, atol=1e-5)[-1])

    model, x = Model(), torch.randn(4, 2)
    return lambda: model.run(x).square().mean().backward()


@right
def attention():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.norm = nn.MultiheadAttention(8, 2, batch_first=True), nn.LayerNorm(8)

        def forward(self, t, x):
            h = self.norm(x)
            return self.attention(h, h, h, need_weights=False)[0]

    return trained(Field(), torch.randn(2, 5, 8), rtol=1e-3, atol=1e-4)


@right
def a_trained_length_of_time():
    length, field, y0 = nn.Parameter(torch.tensor(1.5)), Autonomous(net(3, 16, 3)), torch.randn(4, 3)
    field.length = length  # a parameter of the field that acts through the times alone

    def step():
        t = torch.stack([torch.zeros(()), length])
        odeint(field, y0, t, rtol=1e-5, atol=1e-6)[-1].square().sum().backward()

    return step


@right
def two_backward_passes():
    field, y0 = Autonomous(net(3, 16, 3)), torch.randn(4, 3)

    def step():
        y = odeint_adjoint(field, y0, torch.linspace(0, 1, 3), rtol=1e-4, atol=1e-5)
        y[1].square().sum().backward(retain_graph=True)
        y[-1].sum().backward()

    return step


@right
def a_checkpointed_solve():
    f, x = net(3, 16, 3), torch.randn(4, 3)

    def solved(x):
        return odeint(lambda t, y: f(y), x, UNIT, rtol=1e-4, atol=1e-5)[-1]

    return lambda: checkpoint(solved, x, use_reentrant=False).square().sum().backward()


def checkpointed(solve, *, reentrant, context=False):
    """A solve that is made again in the backward pass, of a field whose context is set before it where asked for."""
    field, encoder, x = Conditioned(), nn.Linear(3, 2), torch.randn(4, 3, requires_grad=True)

    def solved(x):
        field.context = encoder(x) if context else torch.ones(4, 2)
        more = {"adjoint_params": (*field.parameters(), field.context)} if solve is odeint_adjoint and context else {}
        return solve(field, x, UNIT, rtol=1e-4, atol=1e-5, **more)[-1]

    return lambda: checkpoint(solved, x, use_reentrant=reentrant).square().sum().backward()


class Conditioned(nn.Module):
    """A field with a context of its own."""

    def __init__(self):
        super().__init__()
        self.net, self.context = net(5, 16, 3), torch.ones(4, 2)

    def forward(self, t, y):
        return self.net(torch.cat([y, self.context], 1))


@right
def a_checkpointed_adjoint():
    return checkpointed(odeint_adjoint, reentrant=False)


@right
def a_checkpointed_solve_of_the_old_kind():
    return checkpointed(odeint, reentrant=True)


@right
def a_checkpointed_adjoint_of_the_old_kind_with_context():
    return checkpointed(odeint_adjoint, reentrant=True, context=True)


@right
def gradients_accumulated_over_micro_batches():
    field = Conditioned()

    def step():
        for _ in range(3):
            field.context = torch.randn(4, 2)
            y = odeint_adjoint(field, torch.randn(4, 3), UNIT, rtol=1e-4, atol=1e-5)
            (y[-1].square().mean() / 3).backward()

    return step


@right
def the_same_loss_backward_twice():
    field, y0 = Autonomous(net(3, 16, 3)), torch.randn(4, 3, requires_grad=True)

    def step():
        loss = odeint_adjoint(field, y0, UNIT, rtol=1e-4, atol=1e-5)[-1].square().sum()
        loss.backward(retain_graph=True)
        (0.5 * loss).backward()

    return step


@right
def two_losses_of_one_solve_by_steps():
    field, y0 = Autonomous(net(3, 16, 3)), torch.randn(4, 3)

    def step():
        y = odeint(field, y0, UNIT, rtol=1e-4, atol=1e-5)[-1]
        first, second = y.square().mean(), y.abs().mean()
        first.backward(retain_graph=True)
        for p in field.parameters():
            p.grad = None if p.grad is None else p.grad.clamp(-1, 1)
        second.backward()

    return step


@right
def a_partial_with_context():
    f, context = net(4, 16, 3), torch.randn(4, 1)

    def field(t, y, context, scale):
        return scale * f(torch.cat([y, context], 1))

    return trained(functools.partial(field, context=context, scale=0.5), torch.randn(4, 3), solve=odeint)


@right
def a_switch_in_time():
    f = net(3, 16, 3)
    return trained(lambda t, y: f(y) if t < 0.4 else -f(y), torch.randn(4, 3), solve=odeint)


@right
def a_frozen_layer():
    f = net(3, 16, 3)
    for p in f[0].parameters():
        p.requires_grad_(False)
    return trained(Autonomous(f), torch.randn(4, 3))


@right
def gradients_asked_for_directly():
    f, y0 = net(3, 16, 3), torch.randn(4, 3)
    field = Autonomous(f)

    def step():
        loss = odeint_adjoint(field, y0, UNIT, rtol=1e-4, atol=1e-5)[-1].square().sum()
        for p, g in zip(f.parameters(), torch.autograd.grad(loss, list(f.parameters())), strict=True):
            p.grad = g

    return step


@right
def lorenz():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = nn.Parameter(torch.tensor([10.0, 28.0, 8 / 3], dtype=torch.float64))

        def forward(self, t, u):
            (x, y, z), (a, b, c) = u.unbind(-1), self.p
            return torch.stack([a * (y - x), x * (b - z) - y, x * y - c * z], -1)

    y0 = torch.randn(3, 3, dtype=torch.float64) + 5
    return trained(Field(), y0, torch.linspace(0, 1.5, 5, dtype=torch.float64), rtol=1e-6, atol=1e-6)


@right
def complex_numbers():
    weight = nn.Parameter(0.3 * torch.randn(3, 3))

    def field(t, y):
        return -1j * (y @ (weight + weight.T).to(y.dtype))

    def step():
        y0 = torch.randn(2, 3, dtype=torch.complex64)
        odeint(field, y0, UNIT, rtol=1e-4, atol=1e-5)[-1].abs().square().sum().backward()

    return step


@right
def noise_of_a_generator_of_its_own():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.draw, self.noise = net(3, 16, 3), torch.Generator().manual_seed(5), None

        def forward(self, t, y):
            if self.noise is None:
                self.noise = torch.randn(y.shape, generator=self.draw)
            return self.net(y) + 0.1 * self.noise

    field, y0 = Field(), torch.randn(4, 3)

    def step():
        field.noise = None
        trained(field, y0)()

    return step
