"""What derivatives of recorded steps are handed back as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

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
