"""A field's derivatives times one cotangent: what an adjoint needs, without a column for each parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .field import AnyArray, Field


@dataclass(frozen=True, eq=False)
class Pulled:
    """F and aᵀ dF/dz at one time.

    Attributes:
        value: F, (batch, state).
        t: aᵀ F_t, (batch,), of each row where the field can tell rows apart; its sum is that over all rows.
        y: aᵀ F_y, (batch, state).
        theta: aᵀ F_theta, the sum over all rows, (params,).
    """

    value: AnyArray
    t: AnyArray
    y: AnyArray
    theta: AnyArray


def pulls(field: Any) -> bool:
    """Whether a field has derivatives times a cotangent of its own, at a cost like that of its value."""
    return callable(getattr(field, "pull", None))


def pull(field: Field, t: float, y: AnyArray, theta: AnyArray, a: AnyArray) -> Pulled:
    """A field's derivatives times one cotangent.

    Args:
        field: its own `pull(t, y, theta, a)` is asked where it has one; otherwise its jet is multiplied out.
        t: a number.
        y: (batch, state).
        theta: (params,).
        a: (batch, state).

    Returns:
        F and aᵀ dF/dz, z = (t, y, theta).
    """
    if pulls(field):
        return field.pull(t, y, theta, a)  # type: ignore[attr-defined]
    jet = field.jet(t, y, theta, 1)
    assert jet.first is not None
    rows = np.einsum("bi,bin->bn", a, jet.first)
    d = y.shape[1]
    return Pulled(jet.value, rows[:, 0], rows[:, 1 : 1 + d], rows[:, 1 + d :].sum(axis=0))
