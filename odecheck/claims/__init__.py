"""All claims, in reading order. A new claim is one function in one file; a new file is one line here."""

from ..claim import Claim
from . import node, solution

ALL: tuple[Claim, ...] = tuple(c for module in (solution, node) for c in vars(module).values() if isinstance(c, Claim))
