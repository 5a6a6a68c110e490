"""A field, a cost and a loss, and L as a function of (y0, θ, t) by nothing but odeint."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from odecheck.ode import odeint

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10, "method": "dopri8"}


class Field(nn.Module):
    def __init__(self, d: int = 2, width: int = 3):
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.Linear(d, width, dtype=torch.float64)
        self.outer = nn.Linear(width, d, bias=False, dtype=torch.float64)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.outer(torch.tanh(self.inner(y) * (1 + t)))


class Cost(nn.Module):
    """A running cost that reads the field's parameters and depends on time."""

    def __init__(self, field: Field):
        super().__init__()
        self.field = field

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return (torch.sin(y) * t).sum() + (self.field.outer.weight**2).sum() * (y**2).sum()


class Model(nn.Module):
    """L as a function of (y0, θ, t) by an extra state for the integral: nothing but odeint."""

    def __init__(self, field: Field, loss: Callable, cost: bool):
        super().__init__()
        self.field, self.loss, self.cost = field, loss, Cost(field) if cost else None

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        if self.cost is None:
            return self.loss(odeint(self.field, x, t, **TOLERANCE))
        both = lambda s, state: (self.field(s, state[0]), self.cost(s, state[0]))  # noqa: E731
        states, integral = odeint(both, (x, x.new_zeros(())), t, **TOLERANCE)
        return self.loss(states) + integral[-1]


TIMES = torch.tensor([0.1, 0.6, 1.0], dtype=torch.float64)


def setup(shape: tuple[int, ...], with_cost: bool):
    field = Field()
    x = torch.cos(torch.arange(1.0, 1 + torch.Size(shape).numel())).view(shape)
    targets = torch.sin(torch.arange(3.0 * x.numel())).view(3, *shape)
    loss = lambda y: ((y - targets) ** 4).sum()  # noqa: E731
    model = Model(field, loss, with_cost)
    names = [f"field.{name}" for name, _ in field.named_parameters()]
    shapes = [p.shape for p in field.parameters()]

    def total(z: Tensor, t: Tensor = TIMES) -> Tensor:
        parts = z[x.numel() :].split([s.numel() for s in shapes])
        lent = {name: part.view(s) for name, part, s in zip(names, parts, shapes, strict=True)}
        return torch.func.functional_call(model, lent, (z[: x.numel()].view(shape), t))

    z = torch.cat([x.flatten(), *(p.detach().flatten() for p in field.parameters())])
    return field, x, loss, model.cost, total, z


def close(a: Tensor, b: Tensor, tolerance: float = 1e-8) -> bool:
    return float((a - b).abs().max()) < tolerance * float(b.abs().max())
