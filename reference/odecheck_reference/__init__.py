"""The float64 truth: numpy, scipy and mpmath. Knows nothing of torch or of what it is compared with."""

from .adjoint import adjoint_states, volume
from .bounded import Bounded
from .flow import FlowError, solution, transition
from .problem import Problem, ProblemError
from .sensitivity import Gradient, gauss_newton, gradient, hessian, loss

__all__ = [
    "Bounded",
    "FlowError",
    "Gradient",
    "Problem",
    "ProblemError",
    "adjoint_states",
    "gauss_newton",
    "gradient",
    "hessian",
    "loss",
    "solution",
    "transition",
    "volume",
]
