"""All claims, in reading order. A new claim is one function in one file; a new file is one line here.

ALL: what the papers state and what any solve has to meet, run by `odecheck verify`. CONFORMANCE: what a solver library
has to meet beyond that, run by `odecheck conformance` on the problems of `posed.problems`.
"""

from ..claim import Claim
from . import (
    adam,
    derivatives,
    events,
    field,
    heavy_ball,
    kronecker,
    layers,
    node,
    parameters,
    second_routes,
    snopt,
    solution,
    state,
    steps,
    tolerance,
    use,
    values,
)

MODULES = (solution, field, values, node, snopt, layers, kronecker, heavy_ball, adam)
CONFORMANCE_MODULES = (steps, state, tolerance, derivatives, parameters, second_routes, events, use)


def _claims(modules: tuple[object, ...]) -> tuple[Claim, ...]:
    return tuple(c for module in modules for c in vars(module).values() if isinstance(c, Claim))


ALL: tuple[Claim, ...] = _claims(MODULES)
CONFORMANCE: tuple[Claim, ...] = _claims(CONFORMANCE_MODULES)
