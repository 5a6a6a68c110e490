"""Irregular time series: plane vibration and silverbox (HBNODE, section 5.3), an ODE-RNN that forecasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from odecheck.fields import ODERNN, Autonomous, LinearJump
from odecheck.fields.layer import pick
from odecheck.training.models import field_of, parts_of
from odecheck.training.task import Batch, Data, Outcome, Setting, Task

from .files import table
from .generated import duffing, resonances

# standardised rows, and the share of them for training, validation and testing
SHARES = (0.5, 0.25, 0.25)


class ResidualJump(nn.Module):
    """h ↦ h + W (h, x) + b: with small parameters a jump leaves the state as it is."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.jump = LinearJump(features, hidden)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        return h + self.jump(h, x)


class Forecaster(nn.Module):
    """(t, x, mask) → (batch, times, features): what is expected at each time just before it is seen."""

    def __init__(self, rnn: ODERNN, readout: nn.Module, position: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rnn, self.readout, self.position = rnn, readout, position

    def forward(self, t: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        return self.readout(self.position(self.rnn(t, x, mask).before))


def relu_net(inputs: int, outputs: int, width: int) -> nn.Sequential:
    """ReLU network with two hidden layers."""
    layers: list[nn.Module] = []
    for wide, out in pairwise((inputs, width, width, outputs)):
        layers += [nn.ReLU(), nn.Linear(wide, out)] if layers else [nn.Linear(wide, out)]
    return nn.Sequential(*layers)


def sequences(values: np.ndarray, kept: np.ndarray, seen: int, ahead: int) -> Batch:
    """Sequences of `seen` of the kept rows, one after another, and the `ahead` rows that follow the last of them.

    Returns times (n, seen + ahead) in rows since the first one, rows (n, seen + ahead, features), and a mask of those
    that are seen.
    """
    kept = kept[kept < len(values) - ahead]
    count = len(kept) // seen
    rows = kept[: count * seen].reshape(count, seen)
    rows = np.concatenate([rows, rows[:, -1:] + np.arange(1, ahead + 1)], axis=1)
    times = rows - rows[:, :1]
    mask = torch.arange(seen + ahead).expand(count, -1) < seen
    return torch.from_numpy(times.astype(np.float32)), torch.from_numpy(values[rows].astype(np.float32)), mask


@dataclass(frozen=True)
class Forecast(Task):
    """columns, rows: of the CSV file. make: the generated series in its place, from its length.

    The training loss is the squared error of the forecast plus a tenth of that of each next observation; an evaluation
    gives the squared error of the forecast alone. The state starts at zero. (In the authors' code a layer makes it from
    the whole sequence, the values to be predicted among them; it has most of their parameters.)
    """

    file: str = ""
    columns: tuple[str, ...] = ()
    rows: int = 0
    make: Callable[[int], np.ndarray] | None = None

    def load(self, data_dir: Path | None, setting: Setting) -> Data:
        """Training and test sequences: the first half and the last quarter of the series; 10 % of rows are dropped.
        The quarter between them is for validation, and stays unused here."""
        if setting.needs_data:
            values = table(data_dir, self.file, self.columns, self.rows, self.data)
        else:
            assert self.make is not None
            values = self.make(setting.more["rows"])
        values = (values - values.mean(axis=0)) / values.std(axis=0)
        kept = np.flatnonzero(np.random.default_rng(1).random(len(values)) < 0.9)
        half, three = (int(share * len(kept)) for share in np.cumsum(SHARES)[:2])
        seen, ahead = setting.more["seen"], setting.more["ahead"]
        return Data(sequences(values, kept[:half], seen, ahead), sequences(values, kept[three:], seen, ahead))

    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        features, state, width = len(self.columns), setting.more["state"][model], setting.size[model]
        field = field_of(
            model, lambda i, o: Autonomous(relu_net(i, o, width)), state, activation=nn.Hardtanh(-5.0, 5.0)
        )
        hidden, name = parts_of(model) * state, field.parts.names[0]
        jump = ResidualJump(features, hidden)
        rnn = ODERNN(field, jump, hidden, solver=setting.solver, odeint=setting.odeint)
        module = Forecaster(rnn, nn.Linear(state, features), lambda y: pick(field, name, y))
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.mul_(0.01)
        return module

    def loss(self, module: nn.Module, batch: Batch) -> Outcome:
        t, x, mask = batch
        error = (module(t, x, mask) - x).square()
        forecast = error[~mask].mean()
        mask = mask.clone()
        mask[:, 0] = False  # nothing is known before the first observation
        return Outcome(forecast + 0.1 * error[mask].mean() if module.training else forecast)


def states(node: int, anode: int, sonode: int, others: int, adam: int) -> Mapping[str, int]:
    return {"NODE": node, "ANODE": anode, "SONODE": sonode, "HBNODE": others, "GHBNODE": others, "AdamNODE": adam}


def settings(published: Mapping[str, int], small: Mapping[str, int], rate: Mapping[str, float]) -> tuple[Setting, ...]:
    """Generated, a light form on the real series, and that of the paper."""
    wide, narrow = states(21, 27, 19, 20, 16), states(8, 10, 7, 7, 6)
    paper = Setting(
        "published",
        published,
        batch=64,
        epochs=500,
        tolerance=1e-7,
        rate=rate,
        clip=1.0,
        needs_data=True,
        more={"seen": 64, "ahead": 8, "state": wide},
    )
    light = replace(paper, name="light", epochs=20, tolerance=1e-5, more={"seen": 16, "ahead": 8, "state": wide})
    default = replace(
        light,
        name="default",
        size=small,
        batch=32,
        epochs=5,
        needs_data=False,
        rate={**rate, "adam": 0.01},  # nothing is learnt in 30 steps at the published rate
        more={"seen": 16, "ahead": 4, "state": narrow, "rows": 6000},
    )
    return default, light, paper


RATE = {"adam": 1e-3, "sgd": 0.02, "snopt": 0.02}
# widths such that a model has about 16,300 parameters, and 1,500
VIBRATION = {"NODE": 105, "ANODE": 99, "SONODE": 95, "HBNODE": 101, "GHBNODE": 101, "AdamNODE": 101}
SMALL = {"NODE": 29, "ANODE": 27, "SONODE": 25, "HBNODE": 27, "GHBNODE": 27, "AdamNODE": 26}
TASKS = (
    Forecast(
        "vibration",
        "vibrations of a plane's wing: forecast from irregular observations of five sensors",
        "arXiv:2110.04840, section 5.3",
        settings(VIBRATION, SMALL, RATE),
        "plane_vibration.csv: the ground vibration test of an F-16 from the Nonlinear Benchmark "
        "(www.nonlinearbenchmark.org), a CSV file with the columns Force, Voltage, Acceleration1 to Acceleration3.",
        file="plane_vibration.csv",
        columns=("Force", "Voltage", "Acceleration1", "Acceleration2", "Acceleration3"),
        rows=73728,
        make=resonances,
    ),
    Forecast(
        "silverbox",
        "an electronic oscillator with a cubic spring: forecast from irregular observations",
        "arXiv:2110.04840, figure 3, as a task of section 5.3",
        settings(VIBRATION, SMALL, RATE),
        "silverbox.csv: the Silverbox from the Nonlinear Benchmark (www.nonlinearbenchmark.org), SNLS80mV.csv with the "
        "columns V1 and V2.",
        file="silverbox.csv",
        columns=("V1", "V2"),
        rows=131072,
        make=duffing,
    ),
)
