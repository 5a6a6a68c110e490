"""Walker2D: the next frame of a simulated walker from irregular frames (HBNODE, section 5.4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from odecheck.errors import BadInput
from odecheck.fields import ODERNN, Autonomous
from odecheck.fields.layer import pick
from odecheck.training.models import field_of, parts_of
from odecheck.training.task import Batch, Data, Outcome, Setting, Task

from .files import found
from .generated import resonances

FEATURES, SEEN, FRAMES = 17, 64, 1000
HOW = (
    "walker.zip from pub.ist.ac.at/~mlechner/datasets, unpacked in DIR: DIR/walker with one .npy file for each walk, "
    "(frames, 17)."
)


class TanhJump(nn.Module):
    """h ↦ h + net(h, x), two hidden layers."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for wide, out in pairwise((hidden + FEATURES, width, width, hidden)):
            layers += [nn.Tanh(), nn.Linear(wide, out)] if layers else [nn.Linear(wide, out)]
        self.net = nn.Sequential(*layers)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        return h + self.net(torch.cat([h, x], dim=-1))


class NextFrame(nn.Module):
    """(t, x) → the frame after each observation, from the state that has seen it."""

    def __init__(self, rnn: ODERNN, part: str, state: int) -> None:
        super().__init__()
        self.rnn, self.part, self.readout = rnn, part, nn.Linear(state, FEATURES)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.readout(pick(self.rnn.inner, self.part, self.rnn(t, x).after))


def walks(folder: Path | None) -> list[np.ndarray]:
    """All walks, by name. Raises BadInput where there are none, or one that is cut off or something else."""
    if folder is None or not (folder / "walker").is_dir():
        found(folder, "walker", HOW)
    read = []
    for path in sorted((folder / "walker").glob("*.npy")) if folder else []:
        try:
            walk = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise _refused(path, f"it cannot be read ({str(error).splitlines()[0][:100]})") from error
        if walk.ndim != 2 or walk.shape[1] != FEATURES or len(walk) <= SEEN + 1 or not np.isfinite(walk).all():
            raise _refused(path, f"it has shape {walk.shape}, or numbers that are not finite")
        read.append(walk.astype(np.float32))
    if len(read) < 4:
        raise BadInput(f"{folder}/walker has {len(read)} walks", "an archive that was not unpacked whole", HOW)
    return read


def _refused(path: Path, seen: str) -> BadInput:
    return BadInput(
        f"{path}: {seen}", "a download that was cut off, or another file", f"rm {path}, and get it again. {HOW}"
    )


def made(count: int) -> list[np.ndarray]:
    """Walks in place of the simulated ones: 17 mixtures of the responses of three modes, each walk another stretch."""
    series = resonances(count * FRAMES // 4)
    rng = np.random.default_rng(0)
    mixed = series @ rng.standard_normal((5, FEATURES)) / 2
    return [walk.astype(np.float32) for walk in np.array_split(mixed, count)]


def cut(walks: list[np.ndarray], rng: np.random.Generator) -> Batch:
    """Overlapping sequences of 64 of the 90 % of frames that are kept: times in 64 frames, frames, next frames."""
    times, frames, after = [], [], []
    for walk in walks:
        kept = np.flatnonzero(rng.random(len(walk) - 1) < 0.9)
        for begin in range(0, len(kept) - SEEN, SEEN // 4):
            rows = kept[begin : begin + SEEN]
            times.append((rows - rows[0]) / 64.0)
            frames.append(walk[rows])
            after.append(walk[rows + 1])
    return tuple(torch.from_numpy(np.stack(part).astype(np.float32)) for part in (times, frames, after))


@dataclass(frozen=True)
class Walker(Task):
    """15 % of the walks are for testing, 10 % for validation (unused here), the others for training."""

    def load(self, data_dir: Path | None, setting: Setting) -> Data:
        read = walks(data_dir) if setting.needs_data else made(setting.more["walks"])
        rng = np.random.default_rng(0)
        order = rng.permutation(len(read))
        test, valid = max(1, int(0.15 * len(read))), max(1, int(0.1 * len(read)))
        tested, trained = order[:test], order[test + valid :]
        return Data(cut([read[i] for i in trained], rng), cut([read[i] for i in tested], rng))

    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        width = setting.size[model]
        state = setting.more["augmented" if model == "ANODE" else "state"]
        field = field_of(model, lambda i, o: Autonomous(nn.Linear(i, o)), state, activation=nn.Hardtanh(-5.0, 5.0))
        hidden = parts_of(model) * state
        rnn = ODERNN(field, TanhJump(hidden, width), hidden, solver=setting.solver, odeint=setting.odeint)
        return NextFrame(rnn, field.parts.names[0], state)

    def loss(self, module: nn.Module, batch: Batch) -> Outcome:
        t, x, after = batch
        return Outcome((module(t, x) - after).square().mean())


# widths such that a model has about 11,000 parameters, and 4,000
SIZE = {"NODE": 72, "ANODE": 64, "SONODE": 55, "HBNODE": 58, "GHBNODE": 58, "AdamNODE": 47}
SMALL = {"NODE": 46, "ANODE": 42, "SONODE": 40, "HBNODE": 41, "GHBNODE": 41, "AdamNODE": 36}
PAPER = Setting(
    "published",
    SIZE,
    batch=256,
    epochs=500,
    tolerance=1e-7,
    rate={"adam": 3e-3, "sgd": 0.02, "snopt": 0.02},
    clip=1.0,
    needs_data=True,
    more={"state": 24, "augmented": 32},
)
TASKS = (
    Walker(
        "walker2d",
        "the next frame of a simulated walker, from irregular frames",
        "arXiv:2110.04840, section 5.4; data: arXiv:2006.04418",
        (
            replace(
                PAPER,
                name="default",
                size=SMALL,
                batch=32,
                epochs=3,
                tolerance=1e-4,
                needs_data=False,
                more={"state": 8, "augmented": 12, "walks": 6},
            ),
            replace(PAPER, name="light", epochs=20, tolerance=1e-5),
            PAPER,
        ),
        HOW,
    ),
)
