"""Silverbox, how models behave before they are trained (HBNODE, figure 3): fresh starts, a long time, no activation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from odecheck.fields.layer import pick
from odecheck.training.models import Begin, Network, field_of, parts_of
from odecheck.training.task import MODELS, Batch, Data, Outcome, Setting, Task

from .files import table
from .generated import duffing
from .series import TASKS as SERIES

END = 63
SCALE = 100.0  # of the first state


class Forced(nn.Module):
    """f(t, h) = W (h, V(t)) + b, V linear between the rows of the force."""

    force: Tensor

    def __init__(self, force: Tensor, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("force", force, persistent=False)
        self.linear = nn.Linear(inputs + 1, outputs)

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        place = t.clamp(0, len(self.force) - 1)
        low = place.floor().long().clamp(max=len(self.force) - 2)
        v = torch.lerp(self.force[low], self.force[low + 1], place - low)
        return self.linear(torch.cat([h, v.expand(len(h), 1).to(h)], dim=-1))


class Trajectory(nn.Module):
    """h(0) (1, 1) → the position at t = 0 … 63, (64, 1)."""

    def __init__(self, model: str, setting: Setting, inner: Network) -> None:
        super().__init__()
        state = 2 if model == "ANODE" else 1
        self.field = field_of(model, inner, state, activation=nn.Hardtanh(-5.0, 5.0))
        whole = parts_of(model) * state
        learnt = 0 if parts_of(model) == 1 else 1
        self.begin = Begin(Velocity() if learnt else None, whole - 1 - learnt, -1)
        self.solver, self.odeint = setting.solver, setting.odeint

    def forward(self, x: Tensor) -> Tensor:
        times = torch.arange(END + 1, dtype=x.dtype, device=x.device)
        y = self.solver.solve(self.odeint, self.field, self.begin(x), times)
        return pick(self.field, self.field.parts.names[0], y)[:, 0, :1]


class Velocity(nn.Module):
    """One learnt number for each row."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.rand(1) * 2 - 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.value.expand(len(x), 1)


@dataclass(frozen=True)
class SilverboxStart(Task):
    """One sequence: h(0) = 100 V2(0), the forcing V1(t), the target V2(t), means taken off. In float64: a tolerance of
    1e-7 is the round-off of float32, and most steps would be rejected for it."""

    def load(self, data_dir: Path | None, setting: Setting) -> Data:
        values = duffing(1000)
        if setting.needs_data:
            values = table(data_dir, "silverbox.csv", ("V1", "V2"), 131072, self.data)
        values = (values - values.mean(axis=0))[: END + 1]
        first = torch.tensor([[SCALE * values[0, 1]]], dtype=torch.float64)
        force, target = (torch.from_numpy(values[None, :, i].copy()) for i in (0, 1))
        return Data((first, force, target), (first, force, target))

    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        force = data.train[1][0]
        return Trajectory(model, setting, lambda i, o: Forced(force, i, o)).double()

    def loss(self, module: nn.Module, batch: Batch) -> Outcome:
        first, _, target = batch
        return Outcome((module(first)[:, 0] - target[0]).square().mean())


ONE: dict[str, int] = dict.fromkeys(MODELS, 1)
PAPER = Setting("published", ONE, batch=1, epochs=1, tolerance=1e-7, needs_data=True)
TASKS = (
    SilverboxStart(
        "silverbox-start",
        "how a fresh linear model grows over a long time, one step for each seed",
        "arXiv:2110.04840, figure 3",
        # at the published tolerance a backward pass takes six times as long
        (replace(PAPER, name="default", tolerance=1e-4, needs_data=False), PAPER),
        SERIES[1].data,
    ),
)
