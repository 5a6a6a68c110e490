"""SNOpt's classifier with the end time T of its ODE trained too: by second-order feedback, by descent, or fixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from odecheck.fields import NODELayer
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
    decay of 0.99; the short trainings here move it oftener. Both rates are that of 0.03, 0.1, 0.3 and 1 with which
    L + c/2 T² was least at the end, over the seeds 100 and 101 of the digits and six epochs with SNOpt: 1, of both.
    """

    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        module = super().build(model, setting, data)
        _layer(module).end = nn.Parameter(torch.tensor(1.0), requires_grad=POLICIES[model] is not None)
        return module

    def end_time(self, model: str, module: nn.Module, setting: Setting) -> EndTime:
        T, policy, more = _layer(module).end, POLICIES[model], setting.more
        assert T is not None
        if policy is None:
            return EndTime(T)
        theta = [p for p in module.parameters() if p is not T]
        made = policy(T, theta, penalty=more["penalty"], learning_rate=more["end_rate"][model], decay=more["decay"])
        return EndTime(T, made, more["every"])


def _layer(module: nn.Module) -> NODELayer:
    """The one layer that solves."""
    (layer,) = (layer for layer in module.children() if isinstance(layer, NODELayer))
    return layer


def trained(setting: Setting, every: int) -> Setting:
    """The setting of a classifier with all that moves T."""
    more = {
        "penalty": 0.2,
        "every": every,
        "decay": 1 - 1 / every,
        "end_rate": dict.fromkeys([model for model, policy in POLICIES.items() if policy], 1.0),
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
