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

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from .accumulator import Stage
from .layers import Counts, Shape, cotangent_rows, input_rows

if TYPE_CHECKING:
    from jaxtyping import Float

Reduction = Literal["mean", "sum"]


@dataclass(frozen=True)
class Factors:
    """The two factors of one layer's block.

    With the matrix (W, b) flattened row by row, as torch does, the block of A ⊗ B (columns first) is written B ⊗ A.

    Attributes:
        A: E ∫ z zᵀ dt, in units of squared inputs times time.
        B: E Σ_i ∫ g_i g_iᵀ dt.
    """

    A: Float[Tensor, "columns columns"]
    B: Float[Tensor, "outputs outputs"]

    def dense(self) -> Float[Tensor, "size size"]:
        """The block itself, for the matrix (W, b) flattened row by row: size = outputs · columns."""
        return torch.kron(self.B, self.A)


@dataclass(eq=False)
class _Sums:
    A: Tensor
    B: Tensor
    positions: float = 0.0  # of calls outside solves: summed over backward passes
    passes: dict[int, int] = field(default_factory=dict)  # backward pass → samples in it


@dataclass(eq=False)
class _Held:
    """One call: z, or the product z zᵀ if `of_inputs`; g, or the product g gᵀ if `of_cotangents`."""

    shape: Shape
    counts: Counts
    z: Tensor
    of_inputs: bool
    g: Tensor
    of_cotangents: bool


class KroneckerSums:
    """A sink that keeps two matrices for each layer, whatever the number of steps.

    Attributes:
        begins: called before the first of them is made.
        sums: layer → its two sums so far.
    """

    def __init__(self, begins: Callable[[], None] = lambda: None) -> None:
        self.begins = begins
        self.sums: dict[nn.Module, _Sums] = {}

    def clear(self) -> None:
        """Forget all that was gathered."""
        self.sums.clear()

    def hold(self, layer: nn.Module, shape: Shape, z: Tensor, g: Tensor, samples: int) -> _Held:
        """The products z zᵀ and g gᵀ, each if it is smaller than what it is made of."""
        of_inputs = z.numel() > shape.columns**2
        if of_inputs:
            rows = input_rows(layer, shape, z)
            z = rows.T @ rows
        of_cotangents, counts = g.numel() > shape.outputs**2, Counts.of(layer, g, samples)
        if of_cotangents:
            rows = cotangent_rows(layer, shape, g)
            g = rows.T @ rows
        return _Held(shape, counts, z, of_inputs, g, of_cotangents)

    def along(self, layer: nn.Module, held: _Held, stage: Stage) -> None:
        """Add a call at a stage of an accepted step."""
        sums, counts = self._of(layer, held.shape, held.g), held.counts
        sums.passes[stage.passed] = stage.samples
        in_a, in_b = stage.weight * counts.shared, stage.weight / (counts.positions * stage.calls)
        if held.of_inputs:
            sums.A.add_(held.z, alpha=in_a)
        else:
            rows = input_rows(layer, held.shape, held.z)
            sums.A.addmm_(rows.T, rows, alpha=in_a)
        if held.of_cotangents:
            sums.B.add_(held.g, alpha=in_b)
        else:
            rows = cotangent_rows(layer, held.shape, held.g)
            sums.B.addmm_(rows.T, rows, alpha=in_b)

    def once(self, layer: nn.Module, shape: Shape, z: Tensor, g: Tensor, passed: int) -> None:
        """Add a call outside of ODE solves."""
        sums, counts = self._of(layer, shape, g), Counts.of(layer, g)
        sums.passes[passed] = max(counts.samples, sums.passes.get(passed, 0))
        inputs, cotangents = input_rows(layer, shape, z), cotangent_rows(layer, shape, g)
        sums.A.addmm_(inputs.T, inputs)
        sums.B.addmm_(cotangents.T, cotangents)
        sums.positions += counts.positions

    def samples(self, layer: nn.Module) -> int:
        """How many samples a layer was seen with, in all backward passes."""
        return sum(self.sums[layer].passes.values())

    def _of(self, layer: nn.Module, shape: Shape, like: Tensor) -> _Sums:
        if not self.sums:
            self.begins()
        if layer not in self.sums:
            a, b = (like.new_zeros(size, size) for size in (shape.columns, shape.outputs))
            self.sums[layer] = _Sums(a, b)
        return self.sums[layer]

    def factors(
        self, *, along: set[nn.Module], reduction: Reduction = "mean", rank: int = 1
    ) -> dict[nn.Module, Factors]:
        """The factors of every layer that was seen.

        Args:
            along: layers of fields; others were called outside of solves.
            reduction: of the loss over its samples. Cotangents of a mean are `samples` times too small.
            rank: backward passes over the same samples, one for each i of Σ_i.

        Returns:
            Layer → its factors, symmetric to the last bit.
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
