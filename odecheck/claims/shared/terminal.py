"""The loss at the last time alone, and factors of its second derivative: Φ_yy = Σ_i y_i y_iᵀ of every row."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference.bounded import Array
from odecheck_reference.first_order import FirstOrder, first_order
from odecheck_reference.losses import CrossEntropy, Linear, Loss, SquaredError
from torch import Tensor

from odecheck.errors import NotApplicable
from odecheck.subject import tensor


def terminal(problem: Problem) -> Problem:
    """The problem observed at its last time only, without an integral term."""
    loss = problem.loss
    if not isinstance(loss, SquaredError | CrossEntropy):
        raise NotApplicable("factors of Φ_yy are known in closed form for squared error and softmax cross-entropy")
    weight = np.zeros_like(loss.weight)
    weight[-1] = loss.weight[-1]
    return problem.with_(loss=replace(loss, weight=weight), running=None)


def factor_rows(loss: Loss, y: Array) -> Array:
    """y_i with Φ_yy(T) = Σ_i y_i y_iᵀ of every row, at y (batch, state): (batch, rank, state).

    Squared error: √w_i e_i. Cross-entropy: √(w p_c) (e_c − p), because Σ_c p_c (e_c − p)(e_c − p)ᵀ = diag p − p pᵀ.
    """
    assert isinstance(loss, SquaredError | CrossEntropy)
    unit = np.eye(y.shape[1])
    if isinstance(loss, SquaredError):
        return np.sqrt(loss.weight[-1])[:, :, None] * unit
    e = np.exp(y - y.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return np.sqrt(loss.weight[-1][:, None] * p)[:, :, None] * (unit - p[:, None, :])


def subject_rows(loss: SquaredError | CrossEntropy, y: Tensor) -> Tensor:
    """The same, in torch."""
    weight, unit = tensor(loss.weight[-1]), torch.eye(y.shape[1], dtype=y.dtype)
    if isinstance(loss, SquaredError):
        return weight.sqrt()[:, :, None] * unit
    p = torch.softmax(y, dim=1)
    return (weight[:, None] * p).sqrt()[:, :, None] * (unit - p[:, None, :])


def first_row(ended: Problem) -> Problem:
    """The problem of the first row alone, observed at its ends: rows do not see each other."""
    loss: Any = ended.loss
    kept = {part.name: np.asarray(getattr(loss, part.name))[[0, -1], :1] for part in fields(loss)}
    ts = ended.ts[[0, -1]]
    return ended.with_(name=f"{ended.name}, one row", y0=ended.y0[:1], ts=ts, loss=replace(loss, **kept))


def drawn_factors(ended: Problem) -> list[int]:
    """Two of the factors of Φ_yy that are not zero."""
    rows = factor_rows(ended.loss, solution(ended).value[-1])
    some = np.flatnonzero(np.abs(rows).max(axis=(0, 2)) > 0)
    if not len(some):
        raise NotApplicable("the loss does not look at the last time")
    return sorted(np.random.default_rng(0).choice(some, size=min(2, len(some)), replace=False).tolist())


def true_factor_rows(ended: Problem, drawn: list[int]) -> Bounded:
    """[q_i, p_i] of each drawn factor of a problem of one row, (1, drawn, state + params), by an adjoint for each."""
    rows = factor_rows(ended.loss, solution(ended).value[-1])
    found = list[FirstOrder]()
    for i in drawn:
        weight = np.zeros(ended.observations)
        weight[-1] = rows[:, i]
        found.append(first_order(ended.with_(loss=Linear(weight))))
    value = np.stack([np.concatenate([f.y0.value[0], f.theta.value]) for f in found])[None]
    radius = np.stack([np.concatenate([f.y0.radius[0], f.theta.radius]) for f in found])[None]
    return Bounded(value, {"adjoint": radius}, looked_at=found[0].y0.looked_at)
