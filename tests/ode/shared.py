"""A field with parameters of every kind, a start and times."""

import torch
from torch import Tensor, nn

X, T = torch.tensor([0.3, -0.8]).double(), torch.tensor([0.0, 0.4, 1.0]).double()


class Field(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(2, 2, dtype=torch.float64)
        self.frozen = nn.Parameter(torch.tensor([0.5, 2.0], dtype=torch.float64), requires_grad=False)
        self.unused = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(1.5, dtype=torch.float64))
        self.register_buffer("calls", torch.tensor(0))
        self.steps: list[float] = []

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        return torch.tanh(self.layer(y) * t) * self.scale * self.frozen

    def callback_accept_step(self, t: Tensor, y: Tensor, dt: Tensor) -> None:
        assert y.shape == (2,)
        self.steps.append(float(t))

    def callback_accept_step_adjoint(self, t: Tensor, state: tuple[Tensor, ...], dt: Tensor) -> None:
        assert state[0].shape == (2,)
        self.steps.append(-float(t))


class CountingNothing(Field):
    """torch.func does not allow a field to change its own tensors."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(self.layer(y) * t) * self.scale * self.frozen
