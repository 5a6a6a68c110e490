"""Second-order neural ODEs (SONODE; arXiv:2006.07220)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odecheck_reference import fields as exact
from torch import Tensor, nn

from .parts import PartedField, Parts, force
from .twins import build

if TYPE_CHECKING:
    from jaxtyping import Float


class SONODE(PartedField):
    """x' = v, v' = f(t, (x, v)), or f(t, x) with velocity=False.

    Source: arXiv:2006.07220, second-order neural ODEs.

    Args:
        inner: f, called as inner(t, (x, v)) on the joint tensor and returns the shape of v;
            with velocity=False it is called as inner(t, x).
        velocity: whether f sees v.
        dim: the axis of the parts x and v, counted from the end.
    """

    def __init__(self, inner: nn.Module, velocity: bool = True, dim: int = -1) -> None:
        super().__init__(Parts({"x": None, "v": None}, dim))
        self.inner = inner
        self.velocity = velocity

    def forward(self, t: Float[Tensor, "*#batch"], y: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The rates of x and v as one tensor shaped like y; t: a number, or a time for each row."""
        x, v = self.parts.split(y)
        return self.parts.join(v, force(self.inner, t, y if self.velocity else x, v))


@build.register
def _(field: exact.SecondOrder) -> nn.Module:
    return SONODE(build(field.inner), velocity=field.inner.inputs != field.inner.outputs)
