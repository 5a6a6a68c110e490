"""The mutants that claims name, each once, and what is wrong with the names: equal ones, and mutants of no claim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from types import FunctionType, ModuleType
from typing import Any

from odecheck import mutants
from odecheck.claim import Claim, Mutant


def by_name(claims: Iterable[Claim]) -> dict[str, Mutant]:
    """Every mutant that these claims name, by its name. The same mutant may be made anew for several claims.

    Raises:
        ValueError: where two mutants that are not the same have one name: one of them would judge nothing.
    """
    found: dict[str, tuple[Mutant, str]] = {}
    for claim in claims:
        for mutant in claim.mutants:
            first, of = found.setdefault(mutant.name, (mutant, claim.id))
            if not same(first.apply, mutant.apply):
                raise ValueError(
                    f"two mutants are called {mutant.name!r}: one of {of} ({_where(first)}) and one of {claim.id} "
                    f"({_where(mutant)})\n"
                    "  usual cause: a mutant that was copied and changed\n"
                    "  what to type: another name for one of them, that says what it does wrong"
                )
    return {name: mutant for name, (mutant, _) in found.items()}


def unnamed(claims: Sequence[Claim], modules: Iterable[ModuleType] | None = None) -> list[str]:
    """The mutants of `odecheck/mutants/` that no claim names, in words. modules: in place of those of that folder."""
    if modules is None:
        modules = [import_module(f"{mutants.__name__}.{one.name}") for one in iter_modules(mutants.__path__)]
    used = [mutant for claim in claims for mutant in claim.mutants]
    return [
        f"no claim names the mutant {module.__name__}.{name} ({one.name!r})\n"
        "  usual cause: the claim that refuted it is gone, or was never told of it\n"
        f"  what to type: mutants=[..., {name}] at the claim that has to refute it, or delete it"
        for module in modules
        for name, value in vars(module).items()
        for one in (value if isinstance(value, tuple | list) else [value])
        if isinstance(one, Mutant) and not any(one is mutant for mutant in used)
    ]


def check(claims: Sequence[Claim]) -> None:
    """Raises ValueError for mutants of equal names, and for those that no claim names."""
    by_name(claims)
    if idle := unnamed(claims):
        raise ValueError("\n".join(idle))


def same(a: Any, b: Any) -> bool:
    """Whether two values do the same: functions of the same text over the same values, or equal values."""
    if a is b:
        return True
    if isinstance(a, FunctionType) and isinstance(b, FunctionType):
        kept = [(f.__defaults__, f.__kwdefaults__, [c.cell_contents for c in f.__closure__ or ()]) for f in (a, b)]
        return a.__code__ is b.__code__ and same(*kept)
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, partial):
        return same((a.func, a.args, a.keywords), (b.func, b.args, b.keywords))
    if is_dataclass(a) and not isinstance(a, type):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def _where(mutant: Mutant) -> str:
    """Where a mutant is made, as far as its function says."""
    code = getattr(mutant.apply, "__code__", None)
    return f"{mutant.apply.__module__}, line {code.co_firstlineno}" if code else type(mutant.apply).__name__
