"""Exact and Gauss-Newton second derivatives of a loss of an ODE's solution, by equations solved backwards."""

from .blocks import Blocks, hessian, q_blocks
from .factors import Factors, cross_entropy_factors, gauss_newton_factors, matrix_factors, squared_error_factors
from .horizon import Horizon, horizon_derivatives
from .products import Product, gauss_newton_product, hvp

__all__ = [
    "Blocks",
    "Factors",
    "Horizon",
    "Product",
    "cross_entropy_factors",
    "gauss_newton_factors",
    "gauss_newton_product",
    "hessian",
    "horizon_derivatives",
    "hvp",
    "matrix_factors",
    "q_blocks",
    "squared_error_factors",
]
