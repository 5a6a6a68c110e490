"""SNOpt's classifier with the end time T of its ODE trained too: by second-order feedback, by descent, or fixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from odecheck.optim.horizon import HorizonDescent, HorizonFeedback
from odecheck.training.end_time import EndTime
from odecheck.training.task import Data, Setting

from .image_files import MNIST
from .images import CONV, WIDE, ConvClassifier, real

SOURCE = "arXiv:2109.14158, joint optimisation of the integration time"
# who moves T; the first nobody
POLICIES: Mapping[str, type[HorizonDescent | HorizonFeedback] | None] = {
    "ConvNODE": None,
    "ConvNODE-descent": HorizonDescent,
    "ConvNODE-feedback": HorizonFeedback,
}


@dataclass(frozen=True)
class TrainedEnd(ConvClassifier):
    """The classifier with T as a parameter, 1 at the start, and the loss L(T, θ) + c/2 T², of which rows have L.

    A setting's `more`: `penalty` c; `every`, steps of θ from one move of T to the next; `decay` of the averages in
    between; `end_rate`, the learning rate of T by model. The published code moves T at every hundredth step with a
    decay of 0.99; the short trainings here move it oftener.
    """

    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        module = super().build(model, setting, data)
        policy = POLICIES[model]
        for layer in module.children():
            if hasattr(layer, "end"):
                layer.end = nn.Parameter(torch.tensor(1.0), requires_grad=policy is not None)
        return module

    def end_time(self, model: str, module: nn.Module, setting: Setting) -> EndTime:
        (T,) = (layer.end for layer in module.children() if isinstance(getattr(layer, "end", None), nn.Parameter))
        policy, more = POLICIES[model], setting.more
        if policy is None:
            return EndTime(T)
        theta = [p for p in module.parameters() if p is not T]
        made = policy(
            T, theta, penalty=more["penalty"], learning_rate=more["end_rate"][model], decay=more["decay"]
        )
        return EndTime(T, made, more["every"])


def trained(setting: Setting, every: int) -> Setting:
    """The setting of a classifier with all that moves T."""
    more = {
        "penalty": 0.2,
        "every": every,
        "decay": 1 - 1 / every,
        "end_rate": {"ConvNODE-descent": 0.1, "ConvNODE-feedback": 0.1},
    }
    (width,) = setting.size.values()
    return replace(setting, size=dict.fromkeys(POLICIES, width), more=more)


SHORT, LONG = trained(CONV, 10), trained(WIDE, 100)
TASKS = (
    TrainedEnd(
        "digits-end-time",
        "scikit-learn's bundled digits, SNOpt's classifier, its end time trained",
        SOURCE,
        (SHORT, LONG),
        models=tuple(POLICIES),
    ),
    TrainedEnd(
        "mnist-end-time",
        "mnist from a data directory, SNOpt's classifier, its end time trained",
        SOURCE,
        (real(SHORT, "small", epochs=1, evaluate_every=100), real(LONG, "published")),
        MNIST.how,
        tuple(POLICIES),
        MNIST,
    ),
)
