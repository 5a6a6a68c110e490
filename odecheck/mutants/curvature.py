"""Wrong curvature: the mistakes that are made with factors, their eigenbases and their spectrum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.claim import Mutant
from odecheck.curvature.collector import Stage
from odecheck.curvature.eigen import Eigenbasis
from odecheck.curvature.exact import Blocks
from odecheck.curvature.factors import Factors, KroneckerSums, Reduction
from odecheck.curvature.recipe import RIGHT

from .base import wrong_engine


def _mutant(name: str, **wrong: Any) -> Mutant:
    return wrong_engine(name, curvature=replace(RIGHT, **wrong))


class _MeanOverTime(KroneckerSums):
    """Stages averaged: the length of their steps is lost, and A and B are those of a solve of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: dict[nn.Module, float] = {}

    def along(self, layer: nn.Module, held: Any, stage: Stage) -> None:
        super().along(layer, held, stage)
        self.lengths[layer] = self.lengths.get(layer, 0.0) + stage.weight

    def factors(
        self, *, along: set[nn.Module], reduction: Reduction = "mean", rank: int = 1
    ) -> dict[nn.Module, Factors]:
        found = super().factors(along=along, reduction=reduction, rank=rank)
        length = {layer: self.lengths[layer] / rank for layer in found}
        return {layer: Factors(f.A / length[layer], f.B / length[layer]) for layer, f in found.items()}


class _SamplesAreCalls(KroneckerSums):
    """Every sample taken for a call of one and the same sample."""

    def along(self, layer: nn.Module, held: Any, stage: Stage) -> None:
        counts = replace(held.counts, samples=1, positions=held.counts.samples * held.counts.positions)
        super().along(layer, replace(held, counts=counts), replace(stage, samples=1))


def _scaled(a: float, b: float) -> Any:
    return lambda f, n: Factors(n**a * f.A, n**b * f.B)


def _no_bias(f: Factors, _n: int) -> Factors:
    a = f.A.clone()
    a[-1], a[:, -1] = 0.0, 0.0
    return Factors(a, f.B)


MISSING_LENGTH = _mutant("a mean over stages, without the length of their steps", sums=_MeanOverTime)
SAMPLES_AS_CALLS = _mutant("samples taken for calls", sums=_SamplesAreCalls)
MEAN_FOR_SUM = _mutant("cotangents of a mean taken for those of the samples", factors=_scaled(0, -2))
BATCH_TOO_MANY = _mutant("B a batch size too many", factors=_scaled(0, 1))
BATCH_IN_INPUTS = _mutant("A summed over samples, not averaged", factors=_scaled(1, 0))
NO_BIAS = _mutant("column of the bias dropped", factors=_no_bias)
NEVER_RESET = _mutant("statistics of the refresh before never reset", factors=lambda f, _: Factors(2 * f.A, 2 * f.B))
ONE_INTERVAL = _mutant("statistics of the first interval of the backward solve only", last_interval=True)
SWAPPED = _mutant("rows of A in reverse", factors=lambda f, _: Factors(f.A.flip(0), f.B))


def _transposed(factors: Factors, gradient: Tensor, damping: float) -> Tensor:
    basis = Eigenbasis.of(factors)
    return replace(basis, columns=basis.columns.T.contiguous()).precondition(gradient, damping)


def _split_damping(factors: Factors, gradient: Tensor, damping: float) -> Tensor:
    """(A + √ε I) ⊗ (B + √ε I), as is often done, is another matrix."""
    root = damping**0.5
    a, b = (m + root * torch.eye(len(m), dtype=m.dtype) for m in (factors.A, factors.B))
    return torch.linalg.solve(b, gradient) @ torch.linalg.inv(a)


def _outputs_forgotten(factors: Factors, gradient: Tensor, damping: float) -> Tensor:
    ones = torch.eye(len(factors.B), dtype=factors.B.dtype)
    return Eigenbasis.of(Factors(factors.A, ones)).precondition(gradient, damping)


def _more_damping(factors: Factors, gradient: Tensor, damping: float) -> Tensor:
    basis = Eigenbasis.of(factors)
    return basis.precondition(gradient, damping + 0.01 * float(basis.spectrum.mean()))


TRANSPOSED_BASIS = _mutant("one eigenbasis transposed", precondition=_transposed)
SPLIT_DAMPING = _mutant("damping split between the factors", precondition=_split_damping)
OUTPUTS_FORGOTTEN = _mutant("B left out", precondition=_outputs_forgotten)
MORE_DAMPING = _mutant("damped by a hundredth of the mean eigenvalue", precondition=_more_damping)


def _of_the_mean(basis: Eigenbasis, blocks: Blocks) -> Tensor:
    return basis.rotated(blocks.integrals.mean(1)).square().sum(0)


def _one_factor(basis: Eigenbasis, blocks: Blocks) -> Tensor:
    return basis.rotated(blocks.integrals.sum(0)).square().mean(0)


def _other_basis(basis: Eigenbasis, blocks: Blocks) -> Tensor:
    return blocks.integrals.square().mean(1).sum(0)


HALVED_SPECTRUM = _mutant("spectrum halved", spectrum=lambda b, x: b.reestimated(x.integrals).spectrum / 2)
MEAN_GRADIENT = _mutant("square of the mean gradient in place of the mean square", spectrum=_of_the_mean)
FACTORS_SUMMED = _mutant("square of the sum over i in place of the sum of squares", spectrum=_one_factor)
NOT_ROTATED = _mutant("second moments outside of the basis", spectrum=_other_basis)
