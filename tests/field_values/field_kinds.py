"""Right fields of every kind, and fields that are wrong in one way each, at random widths and places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from odecheck.field_values.look import path_of

TS = np.array([0.0, 0.5, 1.0])
SHARED: dict[str, torch.Tensor] = {}


class Formula(nn.Module):
    """f(self, t, y), with parameters by name."""

    def __init__(self, f: Callable[..., torch.Tensor], **parameters: object) -> None:
        super().__init__()
        self.f = f
        for name, value in parameters.items():
            setattr(self, name, nn.Parameter(torch.as_tensor(value, dtype=torch.float64)))

    def forward(self, t, y):
        return self.f(self, t, y)


class Net(nn.Module):
    """Two layers, with a place for one mistake: change(self, t, y, value)."""

    def __init__(self, state=2, width=8, act=torch.tanh, change=lambda self, t, y, value: value, scale=1.0, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.inner, self.outer = nn.Linear(state, width).double(), nn.Linear(width, state).double()
        self.act, self.change = act, change
        with torch.no_grad():
            for p in self.parameters():
                p *= scale

    def hidden(self, y):
        return self.act(self.inner(y))

    def forward(self, t, y):
        return self.change(self, t, y, self.outer(self.hidden(y)) * (1 + t))


class Plain(nn.Module):
    """A module of y alone, without time."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers).double()

    def forward(self, t, y):
        return self.layers(y)


def _zero_start() -> nn.Module:
    net = Net()
    with torch.no_grad():
        net.outer.weight.zero_()
        net.outer.bias.zero_()
    return net


def _attention() -> nn.Module:
    torch.manual_seed(0)

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.MultiheadAttention(2, 1, batch_first=True).double()

        def forward(self, t, y):
            tokens = y.reshape(len(y), 3, 2)
            return (self.inner(tokens, tokens, tokens)[0] - tokens).reshape(y.shape)

    return Attention()


def _batch_norm() -> nn.Module:
    torch.manual_seed(0)
    return Plain(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 2)).eval()


def _seeded(*layers: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return Plain(*(layer() for layer in layers))


def _stack(*columns):
    return torch.stack(columns, dim=-1)


RIGHT: dict[str, tuple[Callable[[], nn.Module], list[list[float]]]] = {
    "tanh": (Net, [[1.0, 0.5], [-0.25, 2.0]]),
    "softplus": (lambda: Net(act=nn.functional.softplus), [[1.0, 0.5]]),
    "gelu": (lambda: Net(act=nn.functional.gelu), [[1.0, 0.5]]),
    "sine": (lambda: Net(act=torch.sin), [[1.0, 0.5]]),
    "relu": (lambda: Net(act=torch.relu, width=16), [[1.0, 0.5]]),
    "wide relu": (lambda: Net(4, 500, torch.relu), [[1.0, 0.5, 0.0, 2.0]]),
    "hardtanh": (lambda: Net(act=nn.functional.hardtanh), [[1.0, 0.5]]),
    "leaky relu": (lambda: Net(act=nn.functional.leaky_relu), [[1.0, 0.5]]),
    "elu": (lambda: Net(act=nn.functional.elu), [[1.0, 0.5]]),
    "sign": (lambda: Formula(lambda s, t, y: -s.k * torch.sign(y) + s.k * t, k=0.7), [[1.0, 0.5]]),
    "absolute": (lambda: Formula(lambda s, t, y: -s.k * y.abs(), k=0.7), [[1.0, -0.5]]),
    "cube of absolute": (lambda: Formula(lambda s, t, y: -s.k * y.abs() ** 3, k=0.7), [[1.0, -0.5]]),
    "rounded": (lambda: Formula(lambda s, t, y: -s.k * torch.round(4 * y) / 4, k=1.0), [[1.0]]),
    "Michaelis-Menten": (lambda: Formula(lambda s, t, y: -s.V * y / (s.K + y), V=1e-6, K=1e-6), [[1e-6]]),
    "cubic, tiny": (lambda: Formula(lambda s, t, y: -s.k * y**3, k=1.0), [[1e-6]]),
    "fast wave": (lambda: Formula(lambda s, t, y: -s.k * y + torch.sin(3e5 * t), k=1.0), [[1.0]]),
    "faster wave": (lambda: Formula(lambda s, t, y: -s.k * y + torch.sin(3e7 * t), k=1.0), [[1.0]]),
    "large weights": (lambda: Net(scale=1e4), [[1.0, 0.5]]),
    "mixed scales": (
        lambda: Formula(lambda s, t, y: _stack(-s.a * y[:, 0] + 1e16 * y[:, 1], -s.b * y[:, 1]), a=1.0, b=2.0),
        [[1e8, 1e-8]],
    ),
    "stiff": (lambda: Formula(lambda s, t, y: -s.k * (y - torch.cos(t)), k=1e6), [[1.0]]),
    "Van der Pol, stiff": (
        lambda: Formula(lambda s, t, y: _stack(y[:, 1], s.m * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]), m=1e3),
        [[2.0, 0.0]],
    ),
    "Lorenz": (
        lambda: Formula(
            lambda s, t, y: _stack(
                s.a * (y[:, 1] - y[:, 0]), y[:, 0] * (s.r - y[:, 2]) - y[:, 1], y[:, 0] * y[:, 1] - s.b * y[:, 2]
            ),
            a=10.0,
            r=28.0,
            b=8 / 3,
        ),
        [[1.0, 1.0, 20.0]],
    ),
    "root": (lambda: Formula(lambda s, t, y: -s.k * torch.sqrt(y), k=1.0), [[4.0]]),
    "logarithm": (lambda: Formula(lambda s, t, y: -s.k * torch.log(y) * y, k=1.0), [[0.1]]),
    "near a pole": (lambda: Formula(lambda s, t, y: s.k * y * y, k=1.0), [[0.9]]),
    "zero last layer": (_zero_start, [[1.0, 0.5]]),
    "identity": (lambda: Formula(lambda s, t, y: y.clone()), [[1.0, 0.5]]),
    "the state itself": (lambda: Formula(lambda s, t, y: y), [[1.0, 0.5]]),
    "constant": (lambda: Formula(lambda s, t, y: torch.ones_like(y)), [[1.0, 0.5]]),
    "tiny": (lambda: Formula(lambda s, t, y: 1e-12 * torch.sin(5 * t) * s.k + 0 * y, k=1.0), [[0.0]]),
    "huge": (lambda: Formula(lambda s, t, y: s.k * y, k=1.0), [[1e150]]),
    "jump in time": (lambda: Formula(lambda s, t, y: -s.k * y + (1.0 if t < 0.5 else 2.0), k=1.0), [[1.0]]),
    "pulse": (lambda: Formula(lambda s, t, y: -s.k * y + torch.exp(-(((t - 0.37) / 1e-3) ** 2)), k=1.0), [[1.0]]),
    "branch on the state": (
        lambda: Formula(lambda s, t, y: torch.where(y > 0, -s.k * y, s.k * y * y), k=1.0),
        [[1.0, -0.3]],
    ),
    "layer norm": (
        lambda: _seeded(lambda: nn.Linear(4, 8), lambda: nn.LayerNorm(8), nn.GELU, lambda: nn.Linear(8, 4)),
        [[1.0, 2.0, 3.0, 4.0]],
    ),
    "batch norm, judged": (_batch_norm, [[1.0, 0.5]]),
    "attention": (_attention, [[1.0, 0.5, -0.2, 0.3, 0.8, -1.0]]),
    "softmax": (lambda: Formula(lambda s, t, y: torch.softmax(s.k * y, -1) - y, k=3.0), [[1.0, 2.0, 3.0]]),
}


class Backward(torch.autograd.Function):
    """The identity, whose backward is off by a factor; at one entry alone where one is given."""

    @staticmethod
    def forward(ctx, x, off, entry):
        ctx.off, ctx.entry = off, entry
        return x.clone()

    @staticmethod
    def backward(ctx, *grads):
        g = grads[0].clone()
        if ctx.entry is None:
            g *= 1 + ctx.off
        else:
            g.view(-1)[ctx.entry] *= 1 + ctx.off
        return g, None, None


def lying(x: torch.Tensor, off: float, entry: int | None = None) -> torch.Tensor:
    return Backward.apply(x, off, entry)


class Window(Net):
    """The second weight is detached within a window of time."""

    def __init__(self, begin: float, end: float, width: int = 8) -> None:
        super().__init__(width=width)
        self.begin, self.end = begin, end

    def forward(self, t, y):
        weight = self.outer.weight.detach() if self.begin < t < self.end else self.outer.weight
        return self.hidden(y) @ weight.T + self.outer.bias


class Region(Net):
    """The state is detached within a ball of the state."""

    def __init__(self, centre: torch.Tensor, radius: float) -> None:
        super().__init__()
        self.centre, self.radius = centre, radius

    def forward(self, t, y):
        near = (y - self.centre).norm(dim=-1, keepdim=True) < self.radius
        return super().forward(t, torch.where(near, y.detach(), y))


class OneEntry(nn.Module):
    """102,016 parameters, the derivative in one of which is off."""

    def __init__(self, entry: int, off: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(16, 3091).double(), nn.Linear(3091, 16).double()
        self.entry, self.off = entry, off

    def forward(self, t, y):
        weight = lying(self.a.weight, self.off, self.entry) if self.off else self.a.weight
        return torch.tanh(y @ weight.T + self.a.bias) @ self.b.weight.T + self.b.bias


def _kept(self: Net, name: str, value: object) -> object:
    if not hasattr(self, name):
        object.__setattr__(self, name, value)
    return getattr(self, name)


def frozen_time(self, t, y, value):
    first = _kept(self, "first", t.detach().clone())
    return self.outer(self.hidden(y)) * (1 + first) + 0 * t


def cached_weight(self, t, y, value):
    weight = _kept(self, "weight", self.outer.weight.detach().clone())
    return self.hidden(y) @ weight.T + 0 * self.outer.weight.sum() + self.outer.bias


def cached_in_a_global(self, t, y, value):
    weight = SHARED.setdefault("weight", self.outer.weight.detach().clone())
    return self.hidden(y) @ weight.T + 0 * self.outer.weight.sum() + self.outer.bias


def numbers_of_a_weight(self, t, y, value):
    weight = _kept(self, "numbers", self.outer.weight.data)
    return self.hidden(y) @ weight.T + 0 * self.outer.weight.sum() + self.outer.bias


def kept_by_time(self, t, y, value):
    return _kept(self, "memory", {}).setdefault(float(t.detach()), value)


def kept_by_state(self, t, y, value):
    return _kept(self, "memory", {}).setdefault(tuple(y.detach().ravel().tolist()), value)


def counting(self, t, y, value):
    object.__setattr__(self, "calls", getattr(self, "calls", 0) + 1)
    return value * (1 + 1e-9 * self.calls)


def nth_call(self, t, y, value):
    object.__setattr__(self, "calls", getattr(self, "calls", 0) + 1)
    return value * (1 + 1e-6 * (self.calls > 1500))


def previous_call(self, t, y, value):
    before = getattr(self, "before", 0.0)
    object.__setattr__(self, "before", float(value.detach().sum()))
    return value + 1e-6 * before


def grad_mode(self, t, y, value):
    return value * (1 + 1e-9 * torch.is_grad_enabled())


def in_place(self, t, y, value):
    y.mul_(1.0001)
    return value


def own_output(self, t, y, value):
    out = getattr(self, "out", None)
    if out is None or out.shape != value.shape:
        object.__setattr__(self, "out", torch.zeros_like(value))
    return self.out.detach().copy_(value.detach())


def mixed_rows(self, t, y, value):
    return value - 1e-3 * (y - y.mean(0))


def dropout(self, t, y, value):
    return nn.functional.dropout(value, 0.5)


def noise_of_the_first_call(self, t, y, value):
    if not hasattr(self, "noise"):
        self.noise = torch.randn(y.shape[1], dtype=y.dtype)
    return value * self.noise


# each with the question that names it
MEMORIES: dict[str, tuple[Callable[..., torch.Tensor], str]] = {
    "frozen time": (frozen_time, "after other points"),
    "cached weight": (cached_weight, "with changed parameters"),
    "numbers of a weight": (numbers_of_a_weight, "with replaced parameters"),
    "kept by time": (kept_by_time, "at the same time, another state"),
    "kept by state": (kept_by_state, "at the same state, another time"),
    "counting": (counting, "of the same point at once"),
    "n-th call": (nth_call, "after thousands of calls"),
    "previous call": (previous_call, "of the same point at once"),
    "grad mode": (grad_mode, "with gradients"),
    "in place": (in_place, "its input afterwards"),
    "own output": (own_output, "its output afterwards"),
    "mixed rows": (mixed_rows, "a row by itself"),
    "noise of the first call": (noise_of_the_first_call, "in the first call of another copy"),
    "dropout": (dropout, "of the same point at once"),
}


def path(module: nn.Module, y0: list[list[float]], ts: np.ndarray = TS):
    """A rough trajectory from y0."""
    start = np.array(y0)
    return path_of(module, ts, np.stack([start] * len(ts)), start.shape[1:])
