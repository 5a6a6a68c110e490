"""torchdiffeq: backpropagation through the steps, and the continuous adjoint."""

from __future__ import annotations

import torchdiffeq

from .base import OdeIntEngine

BACKPROP = OdeIntEngine("torchdiffeq backprop", "steps", torchdiffeq.odeint, unsupported_methods=("scipy_solver",))
ADJOINT = OdeIntEngine("torchdiffeq adjoint", "flow", torchdiffeq.odeint_adjoint)


def Backprop() -> OdeIntEngine:
    """torchdiffeq.odeint: the derivative of the steps, by automatic differentiation."""
    return BACKPROP


def Adjoint() -> OdeIntEngine:
    """torchdiffeq.odeint_adjoint: the derivative of the flow, by a second solve backwards in time."""
    return ADJOINT
