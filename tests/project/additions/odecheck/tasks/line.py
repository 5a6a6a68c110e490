"""Points left and right of a line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from odecheck.fields import Autonomous
from odecheck.training.models import OdeNet
from odecheck.training.task import Batch, Data, Outcome, Setting, Task


@dataclass(frozen=True)
class Line(Task):
    """Points left and right of a line."""

    def load(self, data_dir: Path | None, setting: Setting) -> Data:
        x = torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
        y = x.sum(dim=1, keepdim=True).sign()
        return Data((x[:60], y[:60]), (x[60:], y[60:]))

    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        return OdeNet(
            model,
            setting,
            features=2,
            state=2,
            inner=lambda i, o: Autonomous(nn.Linear(i, o)),
            begin=nn.Linear,
            readout=nn.Linear(2, 1),
        )

    def loss(self, module: nn.Module, batch: Batch) -> Outcome:
        x, target = batch
        said = module(x)
        return Outcome((said - target).square().mean(), (said.sign() == target).float().mean())


SETTING = Setting("default", {"NODE": 2}, batch=30, epochs=1, tolerance=1e-3, rate={"sgd": 0.05})
TASKS = (Line(name="line", summary="left or right of a line", source="made up", settings=(SETTING,), models=("NODE",)),)
