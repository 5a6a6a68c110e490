"""Nested spheres: two classes of points in the plane that no flow of the plane can separate (HBNODE, section 5.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from odecheck.fields import Autonomous
from odecheck.training.models import OdeNet
from odecheck.training.task import Batch, Data, Outcome, Setting, Task

SIZE = {"NODE": 20, "ANODE": 20, "SONODE": 13, "HBNODE": 14, "GHBNODE": 14, "AdamNODE": 14}


def dense(inputs: int, outputs: int, width: int) -> nn.Sequential:
    """ELU network with two hidden layers."""
    layers: list[nn.Module] = []
    for wide, out in pairwise((inputs, width, width, outputs)):
        layers += [nn.ELU(), nn.Linear(wide, out)] if layers else [nn.Linear(wide, out)]
    return nn.Sequential(*layers)


def points(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Half of the points in the disc of radius 0.5 (−1), half in the ring 0.85 … 1 (+1), uniform by area."""
    inside = count // 2
    low = torch.cat([torch.zeros(inside), torch.full((count - inside,), 0.85)])
    high = torch.cat([torch.full((inside,), 0.5), torch.ones(count - inside)])
    u, angle = torch.rand(count, generator=generator), 2 * math.pi * torch.rand(count, generator=generator)
    radius = (low**2 + u * (high**2 - low**2)).sqrt()
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    return x, torch.where(torch.arange(count) < inside, -1.0, 1.0)[:, None]


@dataclass(frozen=True)
class Spheres(Task):
    """Two classes of points in the plane, a disc and a ring around it, as targets −1 and 1."""

    def load(self, data_dir: Path | None, setting: Setting) -> Data:
        generator = torch.Generator().manual_seed(0)
        return Data(points(50, generator), points(200, generator))

    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        width = setting.size[model]
        state = 3 if model == "ANODE" else 2
        return OdeNet(
            model,
            setting,
            features=2,
            state=state,
            inner=lambda i, o: Autonomous(dense(i, o, width)),
            begin=lambda i, o: dense(i, o, width),
            readout=nn.Linear(state, 1),
        )

    def loss(self, module: nn.Module, batch: Batch) -> Outcome:
        x, target = batch
        said = module(x)
        return Outcome((said - target).square().mean(), (said.sign() == target).float().mean())


RATE = {"adam": 0.01, "sgd": 0.02, "snopt": 0.02}
DEFAULT = Setting("default", SIZE, batch=50, epochs=300, tolerance=1e-3, rate=RATE, evaluate_every=20)
TASKS = (
    Spheres(
        name="spheres",
        summary="two classes of points in the plane: a disc inside a ring",
        source="arXiv:2110.04840, section 5.1; augmentation: arXiv:1904.01681",
        # the published notebooks train 300 steps and write 1e-7; the evaluations in their figures fit 1e-3
        settings=(DEFAULT, replace(DEFAULT, name="published", tolerance=1e-7)),
    ),
)
