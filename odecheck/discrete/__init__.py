"""The discrete twin: the accepted steps of a solve, and the exact derivatives of those steps to second order."""

from odecheck.discrete.derivatives import Gradient, HessianProducts, gradient, hvp, jvp, vjp
from odecheck.discrete.record import Trajectory, record

__all__ = ["Gradient", "HessianProducts", "Trajectory", "gradient", "hvp", "jvp", "record", "vjp"]
