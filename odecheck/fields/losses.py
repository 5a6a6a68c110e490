"""The losses and running costs of the reference, written a second time in torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import singledispatch

import numpy as np
import torch
from odecheck_reference import losses as exact
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

LossFn = Callable[[Tensor], Tensor]
RunningFn = Callable[[Tensor, Tensor, Tensor], Tensor]


@singledispatch
def torch_loss(loss: object) -> LossFn:
    """y (times, batch, state) → the loss, a scalar tensor. Raises TypeError for a loss it does not know."""
    raise TypeError(
        f"no torch form is known for the loss {type(loss).__name__}; register one with "
        "@odecheck.fields.losses.torch_loss.register"
    )


@singledispatch
def torch_running(cost: object) -> RunningFn:
    """t, y (batch, state), theta (params,) → the cost of each row, (batch,). Raises TypeError if unknown."""
    raise TypeError(
        f"no torch form is known for the running cost {type(cost).__name__}; register one with "
        "@odecheck.fields.losses.torch_running.register"
    )


def _as(array: object, like: Tensor) -> Tensor:
    return torch.as_tensor(np.array(array), dtype=like.dtype, device=like.device)


@torch_loss.register
def _(loss: exact.Linear) -> LossFn:
    return lambda y: (_as(loss.weight, y) * y).sum()


@torch_loss.register
def _(loss: exact.SquaredError) -> LossFn:
    return lambda y: 0.5 * (_as(loss.weight, y) * (y - _as(loss.target, y)).square()).sum()


@torch_loss.register
def _(loss: exact.LogCosh) -> LossFn:
    def log_cosh(y: Tensor) -> Tensor:
        r = y - _as(loss.target, y)
        # log cosh r = |r| + log(1 + e^{-2|r|}) - log 2; the branch by sign keeps it smooth at r = 0
        r = torch.where(r >= 0, r, -r)
        return (_as(loss.weight, y) * (r + softplus(-2 * r) - math.log(2.0))).sum()

    return log_cosh


@torch_loss.register
def _(loss: exact.CrossEntropy) -> LossFn:
    def weighted(y: Tensor) -> Tensor:
        label = torch.as_tensor(np.array(loss.label), device=y.device).long()
        each = cross_entropy(y.flatten(0, -2), label.flatten(), reduction="none")
        return (_as(loss.weight, y).flatten() * each).sum()

    return weighted


@torch_running.register
def _(cost: exact.QuadraticCost) -> RunningFn:
    def quadratic(t: Tensor, y: Tensor, theta: Tensor) -> Tensor:
        size = cost.state_weight * y.square().sum(-1) + cost.theta_weight * theta.square().sum()
        return 0.5 * size + cost.time_weight * t * y[..., 0]

    return quadratic
