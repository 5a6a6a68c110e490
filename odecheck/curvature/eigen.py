"""Preconditioning in the eigenbases of Kronecker factors.

With A = U_A diag(α) U_Aᵀ, B = U_B diag(β) U_Bᵀ and a gradient G (outputs, columns),

    (A ⊗ B + ε I)⁻¹ vec G = vec( U_B [(U_Bᵀ G U_A) ⊘ (s + ε)] U_Aᵀ ),   s = β αᵀ  (outputs, columns).

The spectrum s may be replaced by second moments of gradients in that basis (George et al., "Fast Approximate Natural
Gradient Descent in a Kronecker-factored Eigenbasis", arXiv:1806.03884): of all matrices that are diagonal in the basis
it then is the nearest to the true block in Frobenius norm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .factors import Factors

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Eigenbasis:
    """Eigenvectors of the two Kronecker factors of a layer, and a spectrum in their product basis.

    Attributes:
        columns: U_A.
        outputs: U_B.
        spectrum: s, in units of squared gradients of one sample times squared inputs.
    """

    columns: Float[Tensor, "columns columns"]
    outputs: Float[Tensor, "outputs outputs"]
    spectrum: Float[Tensor, "outputs columns"]

    @classmethod
    def of(cls, factors: Factors) -> Eigenbasis:
        """That of Kronecker factors.

        Eigenvalues below zero, which negative quadrature weights may leave as truncation error, count as 0.
        """
        alpha, columns = torch.linalg.eigh(factors.A)
        beta, outputs = torch.linalg.eigh(factors.B)
        return cls(columns, outputs, torch.outer(beta.clamp(min=0), alpha.clamp(min=0)))

    def rotated(self, gradients: Float[Tensor, "*batch outputs columns"]) -> Float[Tensor, "*batch outputs columns"]:
        """Gradients in the basis: U_Bᵀ G U_A."""
        return self.outputs.T @ gradients @ self.columns

    def precondition(
        self, gradient: Float[Tensor, "outputs columns"], damping: float
    ) -> Float[Tensor, "outputs columns"]:
        """(A ⊗ B + damping · I)⁻¹ applied to a gradient.

        Args:
            gradient: of (W, b) as one matrix.
            damping: > 0, in the units of the spectrum.
        """
        return self.divided(self.rotated(gradient), damping)

    def divided(self, rotated: Float[Tensor, "outputs columns"], damping: float) -> Float[Tensor, "outputs columns"]:
        """U_B [R ⊘ (s + damping)] U_Aᵀ, of a gradient R that is in the basis already."""
        return self.outputs @ (rotated / (self.spectrum + damping)) @ self.columns.T

    def reestimated(self, gradients: Float[Tensor, "rank samples outputs columns"]) -> Eigenbasis:
        """The same basis with s = E Σ_i (U_Bᵀ G_i U_A)², for gradients of single samples."""
        return replace(self, spectrum=self.rotated(gradients).square().mean(1).sum(0))

    def dense(self) -> Float[Tensor, "size size"]:
        """The matrix that this stands for, for (W, b) flattened row by row: size = outputs · columns."""
        basis = torch.kron(self.outputs, self.columns)
        return (basis * self.spectrum.flatten()) @ basis.T
