"""Optimizers of models with ODE layers."""

from .snopt import SNOpt

__all__ = ["SNOpt"]
