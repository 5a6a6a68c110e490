"""One file for each derivative engine."""

from .base import Derivatives, Engine, OdeIntEngine, Unsupported

__all__ = ["Derivatives", "Engine", "OdeIntEngine", "Unsupported"]
