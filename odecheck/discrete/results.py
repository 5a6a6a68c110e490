"""What derivatives of recorded steps are taken along, and what they are handed back as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from .trajectory import Trajectory

if TYPE_CHECKING:
    from jaxtyping import Float

Theta = dict[str, Tensor]


@dataclass(frozen=True)
class Gradient:
    """A loss of the solution with its first derivatives.

    Attributes:
        value: the loss.
        y0: the derivative in the start.
        theta: name → the derivative in that parameter, shaped like it.
        times: the derivative in the observation times, None if not asked for.
    """

    value: Float[Tensor, ""]
    y0: Float[Tensor, "*state"]
    theta: Theta
    times: Float[Tensor, " times"] | None = None


@dataclass(frozen=True)
class HessianProducts:
    """The gradient of a loss and its Hessian's products with D directions.

    Attributes:
        gradient: the loss with its first derivatives.
        y0: the part of every product in the start.
        theta: name → the part in that parameter, (D, *parameter).
    """

    gradient: Gradient
    y0: Float[Tensor, " D *state"]
    theta: Theta


def named_parts(trajectory: Trajectory, values: list[Tensor]) -> Theta:
    """Values in the order of the parameters, by name."""
    return dict(zip(trajectory.parameters, values, strict=True))


def checked_directions(
    trajectory: Trajectory, y0: Tensor | None, theta: Mapping[str, Tensor] | None
) -> tuple[Tensor, list[Tensor] | None]:
    """Directions as (y0 (D, state_size), list over parameters of (D, *parameter) or None).

    Raises:
        ValueError: no direction, different numbers of directions, an unknown parameter.
    """
    given = [x for x in [y0, *(theta or {}).values()] if x is not None]
    if not given or len({len(x) for x in given}) != 1:
        raise ValueError("directions need a y0 part, a theta part or both, with one leading axis of directions")
    unknown = set(theta or {}) - set(trajectory.parameters)
    if unknown:
        raise ValueError(f"no parameters {sorted(unknown)}: this trajectory has {list(trajectory.parameters)}")
    like, count = trajectory.solution[0], len(given[0])
    y = like.new_zeros(count, like.numel()) if y0 is None else y0.detach().reshape(count, like.numel())
    if not theta:
        return y, None
    parts = {name: value.detach() for name, value in theta.items()}
    zeros = {name: x.new_zeros(1).expand(count, *x.shape) for name, x in trajectory.parameters.items()}
    return y, [parts.get(name, zero).reshape(zero.shape) for name, zero in zeros.items()]
