"""What claims ask of curvature, each part of it exchangeable: a wrong part is a mutant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .eigen import Eigenbasis
from .exact import Blocks
from .factors import Factors, KroneckerSums


def _as_it_is(factors: Factors, _samples: int) -> Factors:
    return factors


def _in_eigenbasis(factors: Factors, gradient: Tensor, damping: float) -> Tensor:
    return Eigenbasis.of(factors).precondition(gradient, damping)


def _second_moment(basis: Eigenbasis, blocks: Blocks) -> Tensor:
    return basis.reestimated(blocks.integrals).spectrum


@dataclass(frozen=True)
class Method:
    """sums: the sink of a gathering. factors: what becomes of the result, given the number of samples. precondition:
    (factors, gradient, damping) → step. spectrum: (basis, blocks) → s.
    last_interval: gathers the last interval alone."""

    sums: Callable[[], KroneckerSums] = KroneckerSums
    factors: Callable[[Factors, int], Factors] = _as_it_is
    precondition: Callable[[Factors, Tensor, float], Tensor] = _in_eigenbasis
    spectrum: Callable[[Eigenbasis, Blocks], Tensor] = _second_moment
    last_interval: bool = False


RIGHT = Method()
