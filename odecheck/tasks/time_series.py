"""Classification of multivariate time series of the UEA archive (arXiv:1811.00075) by ODE-RNNs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from odecheck.errors import BadInput
from odecheck.fields import ODERNN, Autonomous, GRUJump
from odecheck.fields.layer import pick
from odecheck.fields.node import stack
from odecheck.training.models import field_of, parts_of
from odecheck.training.task import Batch, Data, Outcome, Setting, Task

from .files import found

HOW = (
    "The folder {name} with {name}_TRAIN.ts and {name}_TEST.ts is in Multivariate2018_ts.zip of "
    "www.timeseriesclassification.com: unzip it, and give its folder Multivariate_ts as the data directory."
)


@dataclass(frozen=True)
class Series:
    """A data set of the archive: what its two files hold. longest: time points of the longest series."""

    name: str
    train: int
    test: int
    channels: int
    classes: int
    longest: int

    @property
    def how(self) -> str:
        return HOW.format(name=self.name)

    def load(self, folder: Path | None) -> Data:
        """(times, rows, mask, label) of the archive's own training and test series, padded to the longest.

        times (n, longest), in samples, stay at the last one in the padding; rows (n, longest, channels) are
        standardised with what the training series have, and zero in the padding; mask (n, longest); label (n,).
        Raises BadInput for files that are missing, cut off or others, and without aeon, which reads them.
        """
        parts = [self._read(folder, "TRAIN", self.train), self._read(folder, "TEST", self.test)]
        every = np.concatenate(parts[0][0], axis=1)
        mean, scale = every.mean(axis=1, keepdims=True), every.std(axis=1, keepdims=True)
        names = sorted(set(parts[0][1]))
        return Data(*(self._padded([(x - mean) / scale for x in rows], labels, names) for rows, labels in parts))

    def _read(self, folder: Path | None, part: str, count: int) -> tuple[list[np.ndarray], list[str]]:
        path = found(folder, f"{self.name}/{self.name}_{part}.ts", self.how)
        load = _reader()
        try:
            rows, labels, about = load(str(path), return_meta_data=True)
        except Exception as error:  # whatever aeon makes of a file that is none of its own
            said = str(error).strip().splitlines()
            raise self._refused(
                path, f"it cannot be read ({said[0][:120] if said else type(error).__name__})"
            ) from error
        rows = [np.asarray(x, dtype=np.float64) for x in rows]
        if about["problemname"] != self.name.lower():
            raise self._refused(path, f"it holds the problem {about['problemname']!r}")
        if len(rows) != count:
            raise self._refused(path, f"it has {len(rows):,} series, and not {count:,}")
        if any(x.shape[0] != self.channels or not 1 <= x.shape[1] <= self.longest for x in rows):
            raise self._refused(path, f"a series has not {self.channels} channels of up to {self.longest} points")
        if not all(np.isfinite(x).all() for x in rows):
            raise self._refused(path, "an entry is missing or no number")
        if len(set(labels)) != self.classes:
            raise self._refused(path, f"it has {len(set(labels))} classes, and not {self.classes}")
        return rows, [str(label) for label in labels]

    def _refused(self, path: Path, seen: str) -> BadInput:
        return BadInput(
            f"{path}: {seen}",
            "a download that was cut off, an error page saved under this name, or another file",
            f"rm {path}, and get it again. {self.how}",
        )

    def _padded(self, rows: list[np.ndarray], labels: list[str], names: list[str]) -> Batch:
        x = torch.zeros(len(rows), self.longest, self.channels)
        lengths = torch.tensor([row.shape[1] for row in rows])
        for padded, row in zip(x, rows, strict=True):
            padded[: row.shape[1]] = torch.from_numpy(row.T)
        place = torch.arange(self.longest).expand(len(rows), -1)
        times = torch.minimum(place, lengths[:, None] - 1).float()
        return times, x, place < lengths[:, None], torch.tensor([names.index(label) for label in labels])


def _reader() -> Any:
    try:
        from aeon.datasets import load_from_ts_file
    except ImportError as error:
        raise BadInput(
            "files of the UEA archive are read by aeon, which is not installed",
            "odecheck without its extra `tasks`",
            'pip install "odecheck[tasks]"',
        ) from error
    return load_from_ts_file


def bundled() -> Path:
    """The folder of the series that come with aeon. Raises BadInput without aeon."""
    _reader()
    spec = find_spec("aeon")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "datasets" / "data"


class Classifier(nn.Module):
    """(t, x, mask) → (batch, classes): a readout of a part of the state after a row's last observation."""

    def __init__(self, rnn: ODERNN, part: str, readout: nn.Module) -> None:
        super().__init__()
        self.rnn, self.part, self.readout = rnn, part, readout

    def forward(self, t: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        # in the padding the intervals are empty and nothing jumps: the last state is that of the last observation
        return self.readout(pick(self.rnn.inner, self.part, self.rnn(t, x, mask).after[:, -1]))


@dataclass(frozen=True)
class SeriesTask(Task):
    """An ODE-RNN: between observations h' = f(h), `layers` linear layers and tanh, at each of them a GRU's step of h.

    HBNODE and the like keep their momentum at an observation, and their size is that of h. An augmented state is here
    a larger one, so that ANODE is no model of its own.

    The archive's own split is used. (The authors pool it and split it again, 70/15/15.)
    """

    series: Series | None = None
    with_aeon: bool = False

    def load(self, data_dir: Path | None, setting: Setting) -> Data:
        assert self.series is not None
        return self.series.load(bundled() if self.with_aeon else data_dir)

    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        assert self.series is not None
        if model not in self.models:
            raise BadInput(f"task {self.name} has no model {model!r}", "a model of another task", "--model NODE")
        state, layers = setting.size[model], setting.more["layers"]
        field = field_of(
            model,
            lambda i, o: Autonomous(stack((i, *[state] * (layers - 1), o), nn.Tanh())),
            state,
            activation=nn.Hardtanh(-5.0, 5.0),
        )
        part = field.parts.names[0]
        rnn = ODERNN(
            field,
            GRUJump(self.series.channels, state),
            parts_of(model) * state,
            part=part,
            solver=setting.solver,
            odeint=setting.odeint,
        )
        return Classifier(rnn, part, nn.Linear(state, self.series.classes))

    def loss(self, module: nn.Module, batch: Batch) -> Outcome:
        t, x, mask, label = batch
        said = module(t, x, mask)
        return Outcome(cross_entropy(said, label), (said.argmax(dim=1) == label).float().mean())


MODELS = ("NODE", "SONODE", "HBNODE", "GHBNODE", "AdamNODE")
VOWELS = Series("JapaneseVowels", 270, 370, 12, 9, 29)
CHARACTERS = Series("CharacterTrajectories", 1422, 1436, 3, 20, 182)
WORDS = Series("ArticularyWordRecognition", 275, 300, 9, 25, 144)
DIGITS = Series("SpokenArabicDigits", 6599, 2199, 13, 10, 93)


def sizes(node: int, sonode: int) -> Mapping[str, int]:
    """SONODE's first layer sees h and its velocity; the others have the size of NODE."""
    return dict.fromkeys(MODELS, node) | {"SONODE": sonode}


SNOPT = "arXiv:2109.14158, time series"
RATE = {"adam": 1e-3, "sgd": 1e-3, "snopt": 3e-3}
LIGHT = Setting(
    "default",
    sizes(16, 15),
    batch=54,
    epochs=4,
    tolerance=1e-3,
    rate={"adam": 0.01, "sgd": 0.05, "snopt": 0.01},
    evaluate_every=10,
    more={"layers": 2},
)
LARGE = replace(LIGHT, name="large", size=sizes(32, 30), epochs=60, more={"layers": 4})
PAPER = Setting(
    "published", sizes(32, 30), batch=512, epochs=400, tolerance=1e-3, rate=RATE, needs_data=True, more={"layers": 4}
)


def real(series: Series, name: str, summary: str, paper: Setting) -> SeriesTask:
    small = replace(paper, name="small", size=sizes(16, 15), epochs=2, more={"layers": 2})
    return SeriesTask(
        name, f"{summary}, from a data directory", SNOPT, (small, paper), series.how, MODELS, series=series
    )


TASKS = (
    SeriesTask(
        "vowels",
        "who of nine speakers says two Japanese vowels: series that come with aeon",
        f"{SNOPT}, in place of spoken digits",
        (LIGHT, LARGE),
        models=MODELS,
        series=VOWELS,
        with_aeon=True,
    ),
    real(CHARACTERS, "characters", "handwritten letters from a pen's path", PAPER),
    real(
        WORDS,
        "words",
        "spoken words from sensors on tongue and lips",
        replace(PAPER, size=sizes(64, 60), batch=256, epochs=600, rate={"adam": 1e-3, "sgd": 3e-3, "snopt": 3e-3}),
    ),
    real(
        DIGITS,
        "spoken-digits",
        "spoken Arabic digits",
        replace(PAPER, batch=128, epochs=10, rate={"adam": 3e-3, "sgd": 0.01, "snopt": 5e-3}),
    ),
)
