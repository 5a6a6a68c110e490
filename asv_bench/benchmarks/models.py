"""Heavy-ball and Adam models: what their solves and gradients need at one tolerance."""

from __future__ import annotations

import torch
from torch import nn

from . import common
from .common import DEVICES, Timed

MODELS = ["NODE", "ANODE", "SONODE", "HBNODE", "GHBNODE", "AdamNODE"]
PARTS = {"NODE": 1, "ANODE": 1, "SONODE": 2, "HBNODE": 2, "GHBNODE": 2, "AdamNODE": 3}
WIDTH, AUGMENTED = 4, 2


def model(name: str, device: str) -> common.Task:
    """A model of that name over the dense network, h drawn, the rest at zero."""
    made = common.needed("odecheck.fields", name)
    size = {"ANODE": WIDTH + AUGMENTED, "SONODE": 2 * WIDTH}.get(name, WIDTH)  # of what the network sees
    h = common.drawn(8, WIDTH)
    inner = common.Dense(size, 32)
    field = made(inner, AUGMENTED) if name == "ANODE" else made(Force(inner) if name == "SONODE" else inner)
    y0 = torch.cat([h, h.new_zeros(8, size - WIDTH if name == "ANODE" else WIDTH * (PARTS[name] - 1))], dim=1)
    return common.put(field.double(), y0, device, "float64")


class Force(nn.Module):
    """v' of a second-order model: the first half of what the network makes of (x, v)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.inner(t, y)[..., :WIDTH]


class Model(Timed):
    params = (MODELS, ["torchdiffeq adjoint", "odecheck.discrete"], [1e-5], DEVICES)
    param_names = ("model", "engine", "rtol", "device")

    def setup(self, name: str, engine: str, rtol: float, device: str) -> None:
        common.on(device)
        self.task = model(name, device)
        if not isinstance(self.task.field, nn.Module):
            raise common.Skipped("no module")
        tight = common.solve("torchdiffeq", self.task, "dopri8", 1e-9).detach()
        self.count, _ = common.counted(engine, self.task, "dopri5", rtol)
        loose = common.solve(engine, self.task, "dopri5", rtol).detach()
        common.right(loose, tight.cpu().double(), 1e2 * rtol)

    def track_nfe_forward(self, name: str, engine: str, rtol: float, device: str) -> float:
        return float(self.count.calls[0])

    def track_nfe_backward(self, name: str, engine: str, rtol: float, device: str) -> float:
        return float(self.count.calls[1])

    def time_cpu(self, name: str, engine: str, rtol: float, device: str) -> None:
        common.gradient(engine, self.task, "dopri5", rtol)

    track_nfe_forward.unit = track_nfe_backward.unit = "count"  # type: ignore[attr-defined]


class QuickModel(Model):
    params = (["HBNODE", "AdamNODE"], ["torchdiffeq adjoint"], [1e-4], ["cpu"])
    time_cpu = None  # type: ignore[assignment]
