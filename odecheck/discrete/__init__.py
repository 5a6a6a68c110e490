"""The discrete twin: the accepted steps of a solve, and the exact derivatives of those steps to second order."""

from .capturable import NotCompiled
from .curvature import (
    GaussNewtonFactors,
    gauss_newton_factors,
    hessian,
    hessian_theta,
    hessian_y0,
    softmax_cross_entropy_factors,
    squared_error_factors,
)
from .derivatives import gradient, hvp, jvp, vjp
from .recording import record
from .results import Gradient, HessianProducts
from .stage_points import CoupledRows
from .trajectory import Route, Trajectory

__all__ = [
    "CoupledRows",
    "GaussNewtonFactors",
    "Gradient",
    "HessianProducts",
    "NotCompiled",
    "Route",
    "Trajectory",
    "gauss_newton_factors",
    "gradient",
    "hessian",
    "hessian_theta",
    "hessian_y0",
    "hvp",
    "jvp",
    "record",
    "softmax_cross_entropy_factors",
    "squared_error_factors",
    "vjp",
]
