"""Gauss-Newton factors of recorded steps, the solved factors of the flow, and a step of SNOpt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import common
from .common import DEVICES, Timed


class Factors(Timed):
    """Rows of the Gauss-Newton factors of a squared error."""

    params = (["odecheck.odeint", "odecheck.discrete"], DEVICES)
    param_names = ("engine", "device")

    def setup(self, engine: str, device: str) -> None:
        common.on(device)
        self.task = common.dense("S", device)
        self.run(engine)

    def run(self, engine: str) -> None:
        if engine == "odecheck.discrete":
            steps = common.recorded(self.task, "dopri5", 1e-5)
            rows = common.needed("odecheck.discrete", "squared_error_factors")(steps.solution)
            common.needed("odecheck.discrete", "gauss_newton_factors")(steps, rows)
        else:
            factors = common.needed("odecheck.second_order", "gauss_newton_factors")
            arguments = common.how("dopri5", 1e-5)
            factors(self.task.field, self.task.y0, self.task.t, _unit_rows, **arguments)

    def track_nfe(self, engine: str, device: str) -> float:
        count = common.Count(self.task.field)
        self.run(engine)
        return float(sum(count.calls))

    def time_cpu(self, engine: str, device: str) -> None:
        self.run(engine)

    track_nfe.unit = "count"  # type: ignore[attr-defined]


def _unit_rows(y: Tensor) -> Tensor:
    """The factors of a squared error: the unit vectors, (batch, rank, state)."""
    return torch.eye(y.shape[-1], dtype=y.dtype, device=y.device).expand(len(y), -1, -1)


class Layer(nn.Module):
    """An ODE layer, as models have it: a field and the way to solve it."""

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field = field

    def forward(self, y: Tensor) -> Tensor:
        import torchdiffeq

        t = torch.tensor([0.0, 1.0], dtype=y.dtype, device=y.device)
        return torchdiffeq.odeint_adjoint(self.field, y, t, method="dopri5", rtol=1e-3, atol=1e-3)[-1]  # type: ignore[index]


class SnoptStep(Timed):
    """A training step, with SNOpt in front of SGD or without."""

    params = (["SGD", "SNOpt, SGD"], DEVICES)
    param_names = ("optimizer", "device")

    def setup(self, optimizer: str, device: str) -> None:
        common.on(device)
        task = common.dense("M", device)
        self.model = nn.Sequential(Layer(task.field), nn.Linear(8, 3).double().to(device))
        self.x, self.label = task.y0, torch.arange(len(task.y0), device=device) % 3
        self.sgd = torch.optim.SGD(self.model.parameters(), lr=1e-3)
        self.before = None
        if optimizer != "SGD":
            self.before = common.needed("odecheck.optim", "SNOpt")(self.model, damping=0.05, refresh=5)
        self.step()

    def step(self) -> None:
        self.sgd.zero_grad()
        nn.functional.cross_entropy(self.model(self.x), self.label).backward()
        if self.before is not None:
            self.before.step()
        self.sgd.step()

    def track_nfe(self, optimizer: str, device: str) -> float:
        count = common.Count(self.model[0].field)  # type: ignore[arg-type]
        for _ in range(5):
            self.step()
        return float(sum(count.calls))

    def time_cpu(self, optimizer: str, device: str) -> None:
        for _ in range(5):  # one refresh
            self.step()

    track_nfe.unit = "count"  # type: ignore[attr-defined]


class QuickSnoptStep(SnoptStep):
    params = (["SNOpt, SGD"], ["cpu"])
