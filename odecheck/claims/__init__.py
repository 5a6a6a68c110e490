"""All claims, in reading order. A new claim is one function in one file; a new file is one line here."""

from ..claim import Claim
from . import adam, heavy_ball, layers, node, snopt, solution

MODULES = (solution, node, snopt, layers, heavy_ball, adam)
ALL: tuple[Claim, ...] = tuple(c for module in MODULES for c in vars(module).values() if isinstance(c, Claim))
