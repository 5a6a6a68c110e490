"""What calls of layers are handed to, and how each of them counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from .layers import Shape


@dataclass(frozen=True)
class Stage:
    """How a call of a layer counts in the integral along an adjoint solve.

    weight: the quadrature's, in units of time; may be negative. direction: of time in that solve, 1.0 or −1.0. calls:
    how often the layer was called in this evaluation of the field. samples: rows of the state. passed: a number for
    each backward pass.
    """

    weight: float
    direction: float
    calls: int
    samples: int
    passed: int


class Sink(Protocol):
    """What is done with the calls of layers: input z, cotangent g of the output, how many samples the state has."""

    def hold(self, layer: nn.Module, shape: Shape, z: Tensor, g: Tensor, samples: int) -> Any:
        """What to keep of a call until it is known whether its step is accepted."""
        ...

    def along(self, layer: nn.Module, held: Any, stage: Stage) -> None:
        """A call at a stage of an accepted step."""
        ...

    def once(self, layer: nn.Module, shape: Shape, z: Tensor, g: Tensor, passed: int) -> None:
        """A call outside of ODE solves, in the backward pass of this number."""
        ...
