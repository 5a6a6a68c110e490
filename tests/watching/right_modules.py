"""Right models in modules of every make: of TorchScript, parametrised, with a gradient of torch.func inside."""

from __future__ import annotations

import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

from .more_right_models import Autonomous, trained
from .right_models import net, right


@right
def a_module_of_torchscript():
    return trained(torch.jit.script(Autonomous(net(3, 8, 3))), torch.randn(4, 3))


@right
def a_gradient_of_torch_func():
    energy = net(2, 8, 1)

    def field(t, y):
        slope = torch.func.grad(lambda z: energy(z).sum())(y)
        return torch.stack([slope[:, 1], -slope[:, 0]], 1)

    return trained(field, torch.randn(3, 2, requires_grad=True), solve=odeint)


@right
def orthogonal_weights():
    """Their diagonal is made an integer by torch: values jump with it, and at every time."""
    return trained(
        Autonomous(nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(3, 5)), nn.Tanh(), nn.Linear(5, 3))),
        torch.randn(4, 3),
    )


@right
def a_layer_that_begins_at_zero_in_front_of_a_kink():
    f = net(3, 8, 3, act=nn.ReLU)
    for p in f[0].parameters():
        nn.init.zeros_(p)
    return trained(Autonomous(f), torch.randn(4, 3), solve=odeint)


@right
def spectral_norm_in_training_mode():
    f = net(3, 8, 3)
    nn.utils.parametrizations.spectral_norm(f[0])
    return trained(Autonomous(f), torch.randn(4, 3), solve=odeint)


@right
def a_graph_with_a_sparse_buffer():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(4, 4)
            self.register_buffer("edges", torch.softmax(torch.randn(6, 6), 1).to_sparse())

        def forward(self, t, x):
            return torch.tanh(self.net(torch.sparse.mm(self.edges, x))) - x

    field, x = Field(), torch.randn(6, 4)

    def step():
        for _ in range(2):  # the second time there is a copy to compare with
            trained(field, x)()

    return step


@right
def complex_weights_of_a_spectrum():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = nn.Parameter(0.3 * torch.randn(9, dtype=torch.cfloat))

        def forward(self, t, x):
            return torch.fft.irfft(torch.fft.rfft(x) * self.weights, n=16) - 0.1 * x**3

    return trained(Field(), torch.randn(2, 16), solve=odeint)


@right
def a_frozen_network_with_a_small_one_that_begins_at_zero():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(3, 8, 3).requires_grad_(False)
            self.down, self.up = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.zeros(2, 3))

        def forward(self, t, y):
            return self.net(y) + y @ self.down @ self.up

    return trained(Field(), torch.randn(4, 3))


@right
def a_learned_end_of_a_field_that_cuts_off_its_time():
    """FFJORD's own code: the end alone is learned, and its gradient has no derivative in time in it."""

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(4, 8, 3)

        def forward(self, t, y):
            return self.net(torch.cat([y, t.detach().expand(len(y), 1)], 1))

    field, end, y0 = Field(), nn.Parameter(torch.tensor(0.7)), torch.randn(4, 3)

    def step():
        times = torch.stack([torch.tensor(0.0), end * end])
        odeint_adjoint(field, y0, times, rtol=1e-5, atol=1e-6)[-1].square().mean().backward()

    return step


@right
def a_field_that_checks_its_state():
    """Of a solution that comes near to what it refuses: around it, and beyond its ends, the field raises."""

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(2, 8, 2)

        def forward(self, t, y):
            if bool((y > 1).any()):
                raise ValueError("the state has left its box")
            return -torch.sigmoid(self.net(y)) * y

    return trained(Field(), torch.tensor([[0.98, 0.5], [0.9, 0.2]]), solve=odeint)
