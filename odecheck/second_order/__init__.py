"""Exact and Gauss-Newton second derivatives of a loss of an ODE's solution, by equations solved backwards."""

from .products import Product, hvp

__all__ = ["Product", "hvp"]
