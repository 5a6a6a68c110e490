"""Densities by continuous normalizing flows: points in the plane, and the tables that SNOpt is compared on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from odecheck.errors import BadInput
from odecheck.fields.cnf import CNF, ConcatSquash, Divergence, standard_normal
from odecheck.training.task import Batch, Data, Outcome, Setting, Task

from .tabular import GAS, MINIBOONE, Table

# the divergence of a model: exact, or Hutchinson's estimate, with signs as noise
DIVERGENCE: Mapping[str, Divergence] = {"CNF": "exact", "CNF-Hutchinson": "rademacher"}
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {"tanh": nn.Tanh, "softplus": nn.Softplus}
POINTS = {"train": 2000, "test": 1000}


def moons(count: int, generator: torch.Generator) -> Tensor:
    """Two half circles of radius 1, one hanging into the other, with normal noise of 0.1 on each coordinate."""
    angle = math.pi * torch.rand(count, generator=generator)
    upper = torch.arange(count) % 2 == 0
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return torch.stack([x - 0.5, y - 0.25], dim=1) + 0.1 * torch.randn(count, 2, generator=generator)


RADIUS, WIDTH = 2.0, 0.25


def gaussians(count: int, generator: torch.Generator) -> Tensor:
    """Eight normal densities of standard deviation WIDTH on a circle of RADIUS.

    Less than 1e-3 of two of them overlaps: the entropy of the mixture is ln 8 + ln(2πe WIDTH²), about 2.14 nats.
    """
    angle = torch.randint(8, (count,), generator=generator) * (math.pi / 4)
    centre = RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1)
    return centre + WIDTH * torch.randn(count, 2, generator=generator)


def circle(count: int, generator: torch.Generator) -> Tensor:
    """Points on a circle of RADIUS, with normal noise of 0.1 on each coordinate.

    The radial spread is small beside RADIUS: the entropy is about ln(2π RADIUS) + ln(2πe 0.01)/2, 1.65 nats.
    """
    angle = 2 * math.pi * torch.rand(count, generator=generator)
    return RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1) + 0.1 * torch.randn(count, 2, generator=generator)


class Flows(nn.Module):
    """One flow after another: log p(x) of rows (batch, features)."""

    def __init__(self, flows: list[CNF]) -> None:
        super().__init__()
        self.flows = nn.ModuleList(flows)

    def forward(self, x: Tensor) -> Tensor:
        total = x.new_zeros(len(x))
        for flow in self.flows:
            x, change = flow(x)
            total = total + change
        return standard_normal(x) + total


@dataclass(frozen=True)
class Density(Task):
    """Maximum likelihood: the loss is −log p in nats, its mean over the rows.

    points: generated rows; otherwise those of a table. A setting's `more`: layers of each flow, its activation, how
    many flows there are one after another, and the share of the table's rows. A test loss is that of the same
    divergence: Hutchinson's is unbiased, and as noisy as its estimate.
    """

    points: Callable[[int, torch.Generator], Tensor] | None = None
    table: Table | None = None

    def load(self, data_dir: Path | None, setting: Setting) -> Data:
        if self.table is not None:
            return self.table.load(data_dir, setting.more.get("share", 1.0))
        assert self.points is not None
        generator = torch.Generator().manual_seed(0)
        return Data(*((self.points(POINTS[part], generator),) for part in ("train", "test")))

    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        if model not in DIVERGENCE:
            raise BadInput(f"task {self.name} has no model {model!r}", "a model of another task", "--model CNF")
        features, more = data.train[0].shape[1], setting.more
        widths = (features, *[setting.size[model]] * (more["layers"] - 1), features)
        return Flows(
            [
                CNF(
                    ConcatSquash(widths, ACTIVATIONS[more["activation"]]()),
                    divergence=DIVERGENCE[model],
                    solver=setting.solver,
                    odeint=setting.odeint,
                )
                for _ in range(more["flows"])
            ]
        )

    def loss(self, module: nn.Module, batch: Batch) -> Outcome:
        return Outcome(-module(batch[0]).mean())


def sizes(width: int) -> Mapping[str, int]:
    """Every model at one width: they differ in how they take the divergence."""
    return dict.fromkeys(DIVERGENCE, width)


PLANE = Setting(
    "default",
    sizes(64),
    batch=256,
    epochs=40,
    tolerance=1e-4,
    rate={"adam": 0.01, "sgd": 0.02, "snopt": 0.02},
    evaluate_every=40,
    test_batch=1000,
    more={"layers": 4, "activation": "tanh", "flows": 1},
)
TIGHT = replace(PLANE, name="long", epochs=300, tolerance=1e-6)
BOONE = Setting(
    "published",
    sizes(860),
    batch=128,
    epochs=20,
    tolerance=1e-6,
    rate={"adam": 3e-3, "sgd": 0.01, "snopt": 0.005},
    evaluate_every=200,
    test_batch=1000,
    needs_data=True,
    more={"layers": 3, "activation": "softplus", "flows": 1},
)
FIVE = Setting(
    "published",
    sizes(160),
    batch=1000,
    epochs=30,
    tolerance=1e-6,
    rate={"adam": 2e-3, "sgd": 0.01, "snopt": 0.01},
    evaluate_every=500,
    test_batch=1000,
    needs_data=True,
    more={"layers": 4, "activation": "tanh", "flows": 5, "share": 0.1},
)
SNOPT = "arXiv:2109.14158, continuous normalizing flows"
MODELS = tuple(DIVERGENCE)
ESTIMATED = tuple(reversed(MODELS))  # an exact divergence takes a pullback for each of many dimensions
TASKS = (
    Density("moons", "the density of two moons", SNOPT, (PLANE, TIGHT), models=MODELS, points=moons),
    Density(
        "gaussians",
        "the density of eight normal densities on a circle",
        "arXiv:1810.01367, in the plane",
        (replace(PLANE, epochs=30), TIGHT),
        models=MODELS,
        points=gaussians,
    ),
    Density("circle", "the density of a circle", SNOPT, (PLANE, TIGHT), models=MODELS, points=circle),
    Density(
        "miniboone",
        "the density of particle physics events, 43 features, from a data directory",
        SNOPT,
        (replace(BOONE, name="small", size=sizes(64), epochs=1, tolerance=1e-3), BOONE),
        MINIBOONE.how,
        ESTIMATED,
        table=MINIBOONE,
    ),
    Density(
        "gas",
        "the density of readings of 8 gas sensors, from a data directory",
        SNOPT,
        (
            replace(
                FIVE,
                name="small",
                size=sizes(32),
                epochs=1,
                tolerance=1e-3,
                more={**FIVE.more, "flows": 1, "share": 0.01},
            ),
            FIVE,
        ),
        GAS.how,
        ESTIMATED,
        table=GAS,
    ),
)
