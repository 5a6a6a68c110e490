"""torchdiffeq: backpropagation through the steps, and the continuous adjoint."""

from __future__ import annotations

from typing import Any

import torchdiffeq as _torchdiffeq  # pyright: ignore[reportMissingTypeStubs]

from .base import OdeIntEngine

_library: Any = _torchdiffeq  # it has no types

BACKPROP = OdeIntEngine("torchdiffeq backprop", "steps", _library.odeint, unsupported_methods=("scipy_solver",))
ADJOINT = OdeIntEngine("torchdiffeq adjoint", "flow", _library.odeint_adjoint)


def Backprop() -> OdeIntEngine:
    """torchdiffeq.odeint: the derivative of the steps, by automatic differentiation."""
    return BACKPROP


def Adjoint() -> OdeIntEngine:
    """torchdiffeq.odeint_adjoint: the derivative of the flow, by a second solve backwards in time."""
    return ADJOINT
