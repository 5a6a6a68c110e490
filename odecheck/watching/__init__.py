"""Watch a training step: the ODE solves that it makes, verified as they are: `with odecheck.watch() as step:`."""

from .row import Finding, Quantity, Row, State
from .step import Step, watch

__all__ = ["Finding", "Quantity", "Row", "State", "Step", "watch"]
