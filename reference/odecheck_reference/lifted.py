"""A field with its tangent in one direction of the parameters: (y, ẏ)' = (F, F_y ẏ + F_theta θ̇).

What the adjoint of this system carries back is the tangent of the adjoint: second derivatives of a loss along a
direction are first derivatives of its slope along it. So whatever follows first derivatives follows these, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .fields.field import AnyArray, Field, Jet
from .fields.pulled import Pulled, pull

# a complex step has no cancellation: as small as it likes
STEP = 1e-30


@dataclass(frozen=True, eq=False)
class Lifted:
    """The field F and its tangent, side by side in each row.

    Attributes:
        field: F. One whose derivatives are not had by complex numbers has `pull_along(t, y, theta, a, dy, dtheta, da)`.
        direction: θ̇, (params,).
        values_alone: its jets are of order 0.
    """

    field: Field
    direction: AnyArray
    values_alone: ClassVar[bool] = True

    @property
    def state(self) -> int:
        """Twice that of F."""
        return 2 * self.field.state

    @property
    def params(self) -> int:
        """As many as F has."""
        return self.field.params

    @property
    def parts(self) -> Mapping[str, slice]:
        """The state and its tangent."""
        d = self.field.state
        return {"y": slice(0, d), "tangent": slice(d, 2 * d)}

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        """Values alone, order 0: first derivatives are had by `pull`."""
        if order > 0:
            raise NotImplementedError("the jet of a lifted field would have a column for each parameter: ask its pull")
        d = self.field.state
        if hasattr(self.field, "push"):
            both: Any = self.field
            value, tangent = both.push(t, y[:, :d], theta, y[:, d:], self.direction)
            return Jet(np.concatenate([value, tangent], axis=1))
        got: Any = self.field.jet(t, y[:, :d] + 1j * STEP * y[:, d:], theta + 1j * STEP * self.direction, 0).value
        return Jet(np.concatenate([got.real, got.imag / STEP], axis=1))

    def pull(self, t: Any, y: AnyArray, theta: AnyArray, a: AnyArray) -> Pulled:
        """As `pulled.pull`: with a = (α, β), what α pulls through F, and what β pulls through its tangent."""
        d = self.field.state
        base, tangent = pull_along(self.field, t, y[:, :d], theta, a[:, d:], y[:, d:], self.direction, a[:, :d])
        return Pulled(
            np.concatenate([base.value, tangent.value], axis=1),
            tangent.t,
            np.concatenate([tangent.y, base.y], axis=1),
            tangent.theta,
        )


def pull_along(
    field: Field,
    t: Any,
    y: AnyArray,
    theta: AnyArray,
    a: AnyArray,
    dy: AnyArray,
    dtheta: AnyArray,
    da: AnyArray,
) -> tuple[Pulled, Pulled]:
    """A field's derivatives times a cotangent, and how they move along a direction.

    Args:
        field: as for `pulled.pull`; its own `pull_along` is asked where it has one, and complex numbers otherwise.
        t: a number.
        y: (batch, state).
        theta: (params,).
        a: (batch, state).
        dy: the direction of y.
        dtheta: that of theta.
        da: that of a.

    Returns:
        `pull` at (t, y, theta, a), and its derivative along (0, dy, dtheta, da).
    """
    if hasattr(field, "pull_along"):
        return field.pull_along(t, y, theta, a, dy, dtheta, da)  # type: ignore[attr-defined]
    got = pull(field, t, y + 1j * STEP * dy, theta + 1j * STEP * dtheta, a + 1j * STEP * da)
    parts: list[Any] = [got.value, got.t, got.y, got.theta]
    return Pulled(*(np.array(x.real) for x in parts)), Pulled(*(np.array(x.imag) / STEP for x in parts))
