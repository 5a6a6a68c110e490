"""Kronecker factors of the curvature of layers that are called many times along a solve.

For a layer h = W z + b inside a field, q_i the adjoint of factor y_i of the loss's Hessian and g_i = (∂F/∂h)ᵀ q_i, the
layer's block of the Gauss–Newton matrix is E Σ_i vec(∫ g_i zᵀ dt) vec(∫ g_i zᵀ dt)ᵀ, E the mean over samples. It is
approximated by A ⊗ B with

    A = E ∫ z zᵀ dt  (columns, columns),      B = E Σ_i ∫ g_i g_iᵀ dt  (outputs, outputs),

z with a last entry 1 if there is a bias (Liu, Chen, Theodorou, "Second-Order Neural ODE Optimizer", arXiv:2109.14158).
In a training step there is one factor for each sample, the gradient of its own loss.

Positions of a sample (pixels, further axes, several calls in one evaluation of the field) are summed in A and averaged
in B, as in Grosse & Martens, arXiv:1602.01407. A layer that is called once for all samples, with the time alone say,
sees the sum of their gradients, s; for B it gives (samples) · s sᵀ of the mean loss, whose expectation is E g gᵀ if
gradients of different samples are uncorrelated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from .gather import Stage
from .layers import Rows

Reduction = Literal["mean", "sum"]


@dataclass(frozen=True)
class Factors:
    """A: (columns, columns), B: (outputs, outputs) of one layer; the block of vec_rows(W, b) is B ⊗ A.

    With the matrix (W, b) flattened row by row, as torch does, the block of A ⊗ B (columns first) is written B ⊗ A.
    """

    A: Tensor
    B: Tensor

    def dense(self) -> Tensor:
        """(outputs · columns, outputs · columns), for the matrix (W, b) flattened row by row."""
        return torch.kron(self.B, self.A)


@dataclass(eq=False)
class _Sums:
    A: Tensor
    B: Tensor
    positions: float = 0.0  # of calls outside solves: summed over backward passes
    passes: dict[int, int] = field(default_factory=dict)  # backward pass → samples in it


class KroneckerSums:
    """A sink that keeps two matrices for each layer, whatever the number of steps."""

    def __init__(self) -> None:
        self.sums: dict[nn.Module, _Sums] = {}

    def clear(self) -> None:
        self.sums.clear()

    def along(self, layer: nn.Module, rows: Rows, stage: Stage) -> None:
        sums = self._of(layer, rows)
        sums.passes[stage.passed] = stage.samples
        sums.A.addmm_(rows.inputs.T, rows.inputs, alpha=stage.weight * rows.shared)
        sums.B.addmm_(rows.cotangents.T, rows.cotangents, alpha=stage.weight / (rows.positions * stage.calls))

    def once(self, layer: nn.Module, rows: Rows, passed: int) -> None:
        sums = self._of(layer, rows)
        sums.passes[passed] = max(rows.samples, sums.passes.get(passed, 0))
        sums.A.addmm_(rows.inputs.T, rows.inputs)
        sums.B.addmm_(rows.cotangents.T, rows.cotangents)
        sums.positions += rows.positions

    def _of(self, layer: nn.Module, rows: Rows) -> _Sums:
        if layer not in self.sums:
            d, o, like = rows.inputs.shape[1], rows.cotangents.shape[1], rows.inputs
            self.sums[layer] = _Sums(like.new_zeros(d, d), like.new_zeros(o, o))
        return self.sums[layer]

    def factors(
        self, *, along: set[nn.Module], reduction: Reduction = "mean", rank: int = 1
    ) -> dict[nn.Module, Factors]:
        """The factors of every layer that was seen.

        Args:
            along: layers of fields; others were called outside of solves.
            reduction: of the loss over its samples. Cotangents of a mean are `samples` times too small.
            rank: backward passes over the same samples, one for each i of Σ_i.
        """
        found: dict[nn.Module, Factors] = {}
        for layer, sums in self.sums.items():
            seen = sum(sums.passes.values())
            samples = seen / rank
            by = samples if reduction == "mean" else 1 / samples
            positions = 1.0 if layer in along else sums.positions / len(sums.passes)
            found[layer] = Factors(_even(sums.A / seen), _even(sums.B * (by / positions)))
        return found


def _even(matrix: Tensor) -> Tensor:
    """Symmetric to the last bit."""
    return (matrix + matrix.T) / 2
