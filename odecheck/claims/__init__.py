"""All claims, found by looking into `papers`, `libraries` and `methods`, in reading order.

ALL: what the papers state and what any solve has to meet (`papers`), run by `odecheck verify`. CONFORMANCE: what a
solver library has to meet beyond that (`libraries`), run by `odecheck conformance`. METHODS: what optimizers, flows and
the very steps of a solver promise (`methods`), asked of whoever is named with them. EVERY: all of these; any of them is
asked of any subject by `odecheck verify --claim`. A new claim is one function; a new family is one file in one of the
three folders.
"""

from collections.abc import Iterable, Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from odecheck.claim import Claim, reading_order

from . import libraries, methods, papers
from .shared.families import DER, SOL

__all__ = ["ALL", "CONFORMANCE", "DER", "EVERY", "METHODS", "SOL", "claims_of", "modules_of"]


def modules_of(package: ModuleType) -> list[ModuleType]:
    """The modules of one of the three folders."""
    return [import_module(f"{package.__name__}.{found.name}") for found in iter_modules(package.__path__)]


def claims_of(modules: Iterable[ModuleType]) -> tuple[Claim, ...]:
    """The claims that modules define, in reading order.

    Raises:
        ValueError: two claims have one id.
    """
    found: dict[str, Claim] = {}
    for claim in _defined(modules):
        if found.setdefault(claim.id, claim) is not claim:
            places = " and ".join(c.statement.__module__ for c in (found[claim.id], claim))
            raise ValueError(f"there are two claims {claim.id}, in {places}. Give one of them another number.")
    return tuple(sorted(found.values(), key=lambda claim: reading_order(claim.id)))


def _defined(modules: Iterable[ModuleType]) -> Iterator[Claim]:
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Claim) and value.statement.__module__ == module.__name__:
                yield value


ALL = claims_of(modules_of(papers))
CONFORMANCE = claims_of(modules_of(libraries))
METHODS = claims_of(modules_of(methods))
# together they have no id twice
claims_of([*modules_of(papers), *modules_of(libraries), *modules_of(methods)])
EVERY = (*ALL, *CONFORMANCE, *METHODS)
