"""One file for each library that solves and differentiates."""

from .base import Derivatives, Engine, OdeIntEngine

__all__ = ["Derivatives", "Engine", "OdeIntEngine"]
