"""Preconditioning in the eigenbases of Kronecker factors.

With A = U_A diag(α) U_Aᵀ, B = U_B diag(β) U_Bᵀ and a gradient G (outputs, columns),

    (A ⊗ B + ε I)⁻¹ vec G = vec( U_B [(U_Bᵀ G U_A) ⊘ (s + ε)] U_Aᵀ ),   s = β αᵀ  (outputs, columns).

The spectrum s may be replaced by second moments of gradients in that basis (George et al., "Fast Approximate Natural
Gradient Descent in a Kronecker-factored Eigenbasis", arXiv:1806.03884): of all matrices that are diagonal in the basis
it then is the nearest to the true block in Frobenius norm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .factors import Factors


@dataclass(frozen=True)
class Eigenbasis:
    """columns: U_A (columns, columns); outputs: U_B (outputs, outputs); spectrum: s (outputs, columns)."""

    columns: Tensor
    outputs: Tensor
    spectrum: Tensor

    @classmethod
    def of(cls, factors: Factors) -> Eigenbasis:
        """Eigenvalues below zero, which negative quadrature weights may leave as truncation error, count as 0."""
        alpha, columns = torch.linalg.eigh(factors.A)
        beta, outputs = torch.linalg.eigh(factors.B)
        return cls(columns, outputs, torch.outer(beta.clamp(min=0), alpha.clamp(min=0)))

    def rotated(self, gradients: Tensor) -> Tensor:
        """U_Bᵀ G U_A for G (…, outputs, columns)."""
        return self.outputs.T @ gradients @ self.columns

    def precondition(self, gradient: Tensor, damping: float) -> Tensor:
        """(A ⊗ B + damping · I)⁻¹ applied to a gradient (outputs, columns)."""
        return self.outputs @ (self.rotated(gradient) / (self.spectrum + damping)) @ self.columns.T

    def reestimated(self, gradients: Tensor) -> Eigenbasis:
        """The same basis with s = E Σ_i (U_Bᵀ G_i U_A)², for gradients (rank, samples, outputs, columns) of samples."""
        return replace(self, spectrum=self.rotated(gradients).square().mean(1).sum(0))

    def dense(self) -> Tensor:
        """The matrix that this stands for, for (W, b) flattened row by row: (outputs · columns, the same)."""
        basis = torch.kron(self.outputs, self.columns)
        return (basis * self.spectrum.flatten()) @ basis.T
