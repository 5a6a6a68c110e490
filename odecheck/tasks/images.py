"""Image classification: HBNODE's models (section 5.2), and the convolutional classifier that SNOpt is compared on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from odecheck.errors import BadInput
from odecheck.fields import NODELayer
from odecheck.fields.conv import ConvWithTime
from odecheck.training.models import OdeNet
from odecheck.training.task import Batch, Data, Outcome, Setting, Task

from .image_files import CIFAR10, MNIST, SVHN, Images

DIGITS = (1, 8, 8)


def digits() -> Data:
    """scikit-learn's bundled digits: 1437 and 360 images of 8 × 8 in 0 … 1. Raises BadInput without scikit-learn."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise BadInput(
            "the digits come with scikit-learn, which is not installed",
            "odecheck without its extra `tasks`",
            'pip install "odecheck[tasks]"',
        ) from error
    read: Any = load_digits()
    order = torch.randperm(len(read.target), generator=torch.Generator().manual_seed(0))
    x = (torch.from_numpy(read.images).float() / 16)[:, None][order]
    y = torch.from_numpy(read.target).long()[order]
    return Data((x[:1437], y[:1437]), (x[1437:], y[1437:]))


@dataclass(frozen=True)
class Classification(Task):
    """images: None for the bundled digits."""

    images: Images | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        return DIGITS if self.images is None else self.images.shape

    def load(self, data_dir: Path | None, setting: Setting) -> Data:
        return digits() if self.images is None else self.images.load(data_dir)

    def loss(self, module: nn.Module, batch: Batch) -> Outcome:
        x, y = batch
        said = module(x)
        return Outcome(cross_entropy(said, y), (said.argmax(dim=1) == y).float().mean())


def begin(inputs: int, outputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, width, 1),
        nn.LeakyReLU(0.3),
        nn.Conv2d(width, width, 3, padding=1),
        nn.LeakyReLU(0.3),
        nn.Conv2d(width, outputs, 1),
    )


class HeavyBallImages(Classification):
    """f of 1×1, 3×3 and 1×1 convolutions; a position of `position` channels, in ANODE `augmented`; a linear readout."""

    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        width, (channels, height, wide) = setting.size[model], self.shape
        state = {"NODE": channels, "ANODE": setting.more["augmented"]}.get(model, setting.more["position"])
        return OdeNet(
            model,
            setting,
            features=channels,
            state=state,
            inner=lambda i, o: ConvWithTime((i, width, width, o), (1, 3, 1)),
            begin=lambda i, o: begin(i, o, width),
            readout=nn.Sequential(nn.Flatten(), nn.Linear(state * height * wide, 10)),
            dim=-3,
        )


class ConvClassifier(Classification):
    """Three convolutions, y' = f(t, y) with f of two more, ReLU, the mean over the image, a linear readout."""

    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        if model not in self.models:
            raise BadInput(f"task {self.name} has no model {model!r}", "a model of another task", "--model ConvNODE")
        width = setting.size[model]
        field = ConvWithTime((width, width, width), (3, 3))
        return nn.Sequential(
            nn.Conv2d(self.shape[0], width, 3),
            nn.ReLU(),
            nn.Conv2d(width, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            NODELayer(field, solver=setting.solver, odeint=setting.odeint),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, 10),
        )


def sizes(node: int, anode: int, sonode: int, others: int) -> Mapping[str, int]:
    return {"NODE": node, "ANODE": anode, "SONODE": sonode} | dict.fromkeys(("HBNODE", "GHBNODE", "AdamNODE"), others)


# widths of nearly equal parameter counts: about 9,100 (a third of the published widths), 48,300, and for MNIST 85,900
SMALL = Setting(
    "default", sizes(30, 23, 17, 17), batch=64, epochs=2, tolerance=1e-4, more={"augmented": 6, "position": 5}
)
LARGE = replace(SMALL, name="large", size=sizes(72, 69, 49, 49), epochs=20)
GREY_SMALL = replace(SMALL, size=sizes(67, 13, 22, 22))
GREY = replace(SMALL, name="published", size=sizes(92, 64, 50, 50), epochs=20, tolerance=1e-3)
# colour: 135,900, and published 172,700
COLOUR = replace(GREY, size=sizes(125, 64, 50, 51), batch=256, epochs=40, more={"augmented": 13, "position": 12})
COLOUR_SMALL = replace(COLOUR, size=sizes(107, 16, 25, 25), batch=64)
CONV = Setting("default", {"ConvNODE": 16}, batch=64, epochs=8, tolerance=1e-3, evaluate_every=23)
WIDE = replace(CONV, name="published", size={"ConvNODE": 64}, evaluate_every=None)
HEAVY_BALL = "arXiv:2110.04840, section 5.2"
SNOPT = "arXiv:2109.14158, image classification"


def real(setting: Setting, name: str, **changes: Any) -> Setting:
    return replace(setting, name=name, needs_data=True, **changes)


def pair(images: Images, small: Setting, large: Setting) -> tuple[Task, Task]:
    """The two tasks of a data set."""
    summary = f"{images.name} from a data directory"
    heavy = real(small, "small", epochs=1), real(large, "published")
    conv = real(CONV, "small", epochs=1, evaluate_every=100), real(WIDE, "published")
    return (
        HeavyBallImages(
            images.name,
            summary,
            HEAVY_BALL,
            heavy,
            images.how,
            images=images,
        ),
        ConvClassifier(
            f"{images.name}-conv", f"{summary}, SNOpt's classifier", SNOPT, conv, images.how, ("ConvNODE",), images
        ),
    )


TASKS = (
    HeavyBallImages(
        "digits",
        "scikit-learn's bundled digits, 8 × 8",
        f"{HEAVY_BALL}, in place of MNIST",
        (SMALL, LARGE),
    ),
    ConvClassifier(
        "digits-conv",
        "scikit-learn's bundled digits, SNOpt's classifier",
        SNOPT,
        (CONV, WIDE),
        models=("ConvNODE",),
    ),
    *pair(MNIST, GREY_SMALL, GREY),
    *pair(SVHN, COLOUR_SMALL, COLOUR),
    *pair(CIFAR10, COLOUR_SMALL, COLOUR),
)
