"""Optimizers of models with ODE layers."""

from .horizon import HorizonDescent, HorizonFeedback, HorizonNewton
from .snopt import SNOpt

__all__ = ["HorizonDescent", "HorizonFeedback", "HorizonNewton", "SNOpt"]
