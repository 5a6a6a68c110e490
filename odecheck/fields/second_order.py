"""Second-order neural ODEs (SONODE; arXiv:2006.07220)."""

from __future__ import annotations

from odecheck_reference import fields as exact
from torch import Tensor, nn

from .parts import PartedField, Parts, force
from .twins import build


class SONODE(PartedField):
    """x' = v, v' = f(t, (x, v)), or f(t, x) with velocity=False.

    inner: called as inner(t, (x, v)) on the joint tensor and returns the shape of v;
        with velocity=False it is called as inner(t, x).
    """

    def __init__(self, inner: nn.Module, velocity: bool = True, dim: int = -1) -> None:
        super().__init__(Parts({"x": None, "v": None}, dim))
        self.inner = inner
        self.velocity = velocity

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        x, v = self.parts.split(y)
        return self.parts.join(v, force(self.inner, t, y if self.velocity else x, v))


@build.register
def _(field: exact.SecondOrder) -> nn.Module:
    return SONODE(build(field.inner), velocity=field.inner.inputs != field.inner.outputs)
