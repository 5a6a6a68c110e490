"""All claims, in reading order.

ALL: what the papers state and what any solve has to meet (`papers`), run by `odecheck verify`. CONFORMANCE: what a
solver library has to meet beyond that (`libraries`), run by `odecheck conformance`.
"""

from odecheck.claim import Claim

from .libraries import derivatives, events, grids, hessians, parameters, states, tolerance, usage
from .papers import adam, field, heavy_ball, kronecker, layers, node, snopt, solution

MODULES = (solution, field, node, snopt, layers, kronecker, heavy_ball, adam)
CONFORMANCE_MODULES = (grids, states, tolerance, derivatives, parameters, hessians, events, usage)


def _claims(modules: tuple[object, ...]) -> tuple[Claim, ...]:
    return tuple(c for module in modules for c in vars(module).values() if isinstance(c, Claim))


ALL: tuple[Claim, ...] = _claims(MODULES)
CONFORMANCE: tuple[Claim, ...] = _claims(CONFORMANCE_MODULES)
