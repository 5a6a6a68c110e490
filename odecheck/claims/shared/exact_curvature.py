"""Exact blocks of layers of the Gauss–Newton matrix, from the reference's own sensitivities (SNOPT-6.1 to SNOPT-9)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from odecheck_reference import Problem
from odecheck_reference.bounded import Array
from odecheck_reference.flow import Trajectory, bounded

from odecheck.subject import Subject

from .observed_curvature import layers_of
from .terminal import factor_rows


def true_blocks(subject: Subject, ended: Problem) -> Callable[[Trajectory], list[Array]]:
    """The gradients of (W, b) of single samples and factors, (batch · rank, outputs, columns) for each layer."""
    module = subject.module(ended)
    offsets: dict[int, int] = {}
    total = ended.field.state
    for parameter in module.parameters():
        offsets[id(parameter)] = total
        total += parameter.numel()

    def of(run: Trajectory) -> list[Array]:
        assert run.first is not None
        p = factor_rows(ended.loss, run.y[-1]) @ run.first[-1]
        found: list[Array] = []
        for layer in layers_of(module):
            o, i = layer.weight.shape
            w, b = (offsets[id(x)] if x is not None else 0 for x in (layer.weight, layer.bias))
            weight = p[:, :, w : w + o * i].reshape(-1, o, i)
            bias = p[:, :, b : b + o].reshape(-1, o, 1)[:, :, : int(layer.bias is not None)]
            found.append(np.concatenate([weight, bias], 2))
        return found

    return of


def block(gradients: Array, batch: int) -> Array:
    """The Gauss–Newton block of a layer, from the gradients of each sample: (samples, …) ↦ (entries, entries)."""
    rows = gradients.reshape(len(gradients), -1)
    return rows.T @ rows / batch


def first_run(ended: Problem, of: Callable[[Trajectory], list[Array]]) -> list[Array]:
    """Something of the first of the reference's runs, without an error bar."""
    kept: list[list[Array]] = []

    def keep(run: Trajectory) -> Array:
        kept.append(of(run))
        return np.zeros(1)

    bounded(ended, 1, keep)
    return kept[0]
