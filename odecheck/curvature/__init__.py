"""Curvature of layers inside ODE solves: Kronecker factors as integrals along the adjoint solve."""

from .eigen import Eigenbasis
from .factors import Factors, KroneckerSums
from .gather import CurvatureError, Gather
from .kronecker import kronecker_factors

__all__ = ["CurvatureError", "Eigenbasis", "Factors", "Gather", "KroneckerSums", "kronecker_factors"]
