"""Curvature of layers inside ODE solves: Kronecker factors as integrals along the adjoint solve."""

from .collector import Gather
from .eigen import Eigenbasis
from .exact import Blocks, SampleIntegrals, Split, exact_blocks
from .factors import Factors, KroneckerSums
from .kronecker import kronecker_factors

__all__ = [
    "Blocks",
    "Eigenbasis",
    "Factors",
    "Gather",
    "KroneckerSums",
    "SampleIntegrals",
    "Split",
    "exact_blocks",
    "kronecker_factors",
]
