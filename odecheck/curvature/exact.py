"""Exact blocks of small layers, what a Kronecker product makes of them, and where its error comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from odecheck.errors import CurvatureError

from .accumulator import Stage
from .collector import Gather
from .factors import Factors, Reduction
from .layers import Counts, Shape, cotangent_rows, input_rows
from .samples import Told

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Blocks:
    """One layer's block of the Gauss–Newton matrix, and what is known of each sample by itself.

    Attributes:
        integrals: ∫ g_i zᵀ dt: gradients of (W, b) of the single samples.
        A: ∫ z zᵀ dt.
        B: Σ_i ∫ g_i g_iᵀ dt.
    """

    integrals: Float[Tensor, "rank samples outputs columns"]
    A: Float[Tensor, "samples columns columns"]
    B: Float[Tensor, "samples outputs outputs"]

    @property
    def factors(self) -> Factors:
        """E ∫ z zᵀ dt and E Σ_i ∫ g_i g_iᵀ dt."""
        return Factors(self.A.mean(0), self.B.mean(0))

    def exact(self) -> Float[Tensor, "size size"]:
        """E Σ_i vec(∫ g_i zᵀ dt) vec(∫ g_i zᵀ dt)ᵀ, for (W, b) flattened row by row."""
        rows = self.integrals.flatten(2).flatten(0, 1)
        return rows.T @ rows / self.integrals.shape[1]

    def of_each_sample(self) -> Float[Tensor, "size size"]:
        """E A_n ⊗ B_n: time decorrelated, the samples still paired. Flattened as `exact`."""
        return torch.einsum("nab,ncd->acbd", self.B, self.A).flatten(2).flatten(0, 1) / len(self.A)

    def split(self) -> Split:
        """The error of A ⊗ B, by its two sources."""
        exact, paired, kronecker = self.exact(), self.of_each_sample(), self.factors.dense()
        size = exact.norm()
        parts = (kronecker - exact, paired - exact, kronecker - paired)
        return Split(*(float(part.norm() / size) for part in parts))


@dataclass(frozen=True)
class Split:
    """The error of A ⊗ B and its sources, as Frobenius norms relative to the exact block. total ≤ time + samples.

    Attributes:
        total: of A ⊗ B.
        time: of taking ∫ z zᵀ dt ⊗ ∫ g gᵀ dt for the square of ∫ g zᵀ dt, sample by sample (and positions likewise).
        samples: of taking the product of means over samples for the mean of products.
    """

    total: float
    time: float
    samples: float


@dataclass(eq=False)
class _Sums:
    A: Tensor
    B: Tensor
    integrals: dict[int, Tensor]


class SampleIntegrals:
    """A sink that keeps the integrals of every sample: for small problems, (samples · outputs · columns) numbers."""

    def __init__(self) -> None:
        self.sums: dict[nn.Module, _Sums] = {}

    def clear(self) -> None:
        """Forget all that was gathered."""
        self.sums.clear()

    def hold(self, layer: nn.Module, shape: Shape, z: Tensor, g: Tensor, samples: int) -> tuple[Tensor, Tensor, Counts]:
        """Inputs (samples, positions, columns), cotangents (samples, positions, outputs), and what they stand for.

        Raises:
            CurvatureError: rows that cannot be told by their samples.
        """
        counts = Counts.of(layer, g, samples)
        if counts.samples > 1 and next(size for size in g.shape if size > 1) != samples:
            raise CurvatureError(
                f"{layer} gives {tuple(g.shape)} in a solve of {samples} samples, and of single samples it has to be "
                f"known which rows are theirs. Call it with ({samples}, positions, features), samples first."
            )
        by_sample = (counts.samples, counts.positions, -1)
        return (
            input_rows(layer, shape, z).reshape(by_sample),
            cotangent_rows(layer, shape, g).reshape(by_sample),
            counts,
        )

    def along(self, layer: nn.Module, held: tuple[Tensor, Tensor, Counts], stage: Stage) -> None:
        """Add a call at a stage of an accepted step.

        Raises:
            CurvatureError: a layer that is called once for all of several samples.
        """
        z, g, counts = held
        if counts.shared > 1:
            raise CurvatureError(
                f"a layer ({layer}) is called once for all {stage.samples} samples, as with the time alone, and "
                "gradients of single samples are not to be had. Exact blocks need one sample, or t.expand(len(y), 1)."
            )
        if layer not in self.sums:
            n, d, o = len(z), z.shape[2], g.shape[2]
            self.sums[layer] = _Sums(z.new_zeros(n, d, d), z.new_zeros(n, o, o), {})
        sums = self.sums[layer]
        sums.A += stage.weight * (z.mT @ z)
        sums.B += stage.weight / (counts.positions * stage.calls) * (g.mT @ g)
        # an adjoint solve pulls −a back through the field, from the end to the start
        change = stage.direction * stage.weight * (g.mT @ z)
        before = sums.integrals.get(stage.passed)
        sums.integrals[stage.passed] = change if before is None else before + change

    def once(self, layer: nn.Module, shape: Shape, z: Tensor, g: Tensor, passed: int) -> None:
        """Calls outside of solves are no integrals."""

    def blocks(self, reduction: Reduction = "mean") -> dict[nn.Module, Blocks]:
        """Layer → its block, for a loss that is a mean, or a sum, over samples."""
        found: dict[nn.Module, Blocks] = {}
        for layer, sums in self.sums.items():
            rank, samples = len(sums.integrals), len(sums.A)
            by = samples if reduction == "mean" else 1
            integrals = by * torch.stack(list(sums.integrals.values()))
            found[layer] = Blocks(integrals, sums.A / rank, by**2 * sums.B)
        return found


def exact_blocks(
    model: nn.Module,
    backward: Callable[[], object],
    *,
    reduction: Reduction = "mean",
    fields: Sequence[Callable] = (),
    samples: Told = None,
) -> dict[str, Blocks]:
    """Exact blocks of the Gauss–Newton matrix, of every layer inside a field, and their parts.

    Args:
        model: a module that holds ODE fields.
        backward: makes a forward pass and as many backward passes over the same samples as Σ_i has terms.
        reduction: of the loss over samples.
        fields: fields that are not inside the model; a name of theirs that is taken becomes fields[i].name.
        samples: as for `kronecker_factors`.

    Returns:
        Name of each layer → its block.

    Raises:
        CurvatureError: as `kronecker_factors`; and for a layer that is called once for all of several samples.
    """
    sums = SampleIntegrals()
    gather = Gather(model, sums, fields=fields, samples=samples)
    with gather:
        backward()
    gather.finish()
    found = sums.blocks(reduction)
    return {name: found[layer] for layer, name in gather.names.items() if layer in found}
