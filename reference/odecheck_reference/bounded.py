"""A number together with its error bar: the only kind of number that counts as evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from jaxtyping import Float64

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bounded:
    """A value known up to named, absolute error terms.

    Attributes:
        value: the number or numbers, of any shape.
        budget: name of the error term → its size, in the units of `value`, broadcastable to its shape,
            never negative; infinite means "not known at all".
        looked_at: any feature of the problem on its trajectory that is wider than this, in units of time, was looked
            at; None where nothing narrow can be missed, infinite where nothing was looked at in between.

    Raises:
        ValueError: a term is negative or NaN, or does not broadcast to the shape of `value`.

    Example:
        >>> float(Bounded(3.0, {"truncation": 1e-9, "roundoff": 1e-15}).radius)
        1.000001e-09
    """

    value: Float64[Array, "*shape"]
    budget: Mapping[str, Float64[Array, "*shape"]] = field(default_factory=dict[str, Array])
    looked_at: float | None = None

    def __init__(
        self, value: ArrayLike, budget: Mapping[str, ArrayLike] | None = None, *, looked_at: float | None = None
    ) -> None:
        exact = np.asarray(value, dtype=np.float64)
        terms: dict[str, Array] = {}
        for name, size in (budget or {}).items():
            term = np.asarray(size, dtype=np.float64)
            if np.isnan(term).any() or (term < 0).any():
                raise ValueError(f"error term {name!r} must be >= 0 and not NaN, but its smallest is {term.min()}")
            terms[name] = np.broadcast_to(term, exact.shape)
        object.__setattr__(self, "value", exact)
        object.__setattr__(self, "budget", terms)
        object.__setattr__(self, "looked_at", looked_at)

    @property
    def radius(self) -> Float64[Array, "*shape"]:
        """Sum of all error terms, in the units of `value`: the truth lies within value ± radius."""
        total = np.zeros_like(self.value)
        for term in self.budget.values():
            total = total + term
        return total
