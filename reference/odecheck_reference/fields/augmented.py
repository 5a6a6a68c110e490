"""Augmented neural ODEs (ANODE; arXiv:1904.01681): the same vector field on a state with extra dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .assembly import Map, OwnRate
from .classical import Pendulum
from .field import AnyArray, Jet
from .mlp import Mlp


@dataclass(frozen=True)
class Augmented(OwnRate):
    """(h, a)' = f(t, (h, a)); the last `extra` components are the augmentation a.

    theta = that of `inner`.
    """

    inner: Map
    extra: int

    def __post_init__(self) -> None:
        if self.inner.inputs != self.inner.outputs or not 0 < self.extra < self.inner.outputs:
            raise ValueError(
                f"a field from {self.inner.inputs} to {self.inner.outputs} numbers cannot have {self.extra} "
                "of them as augmentation: give it as many outputs as inputs, and 0 < extra < outputs"
            )

    @property
    def state(self) -> int:
        return self.inner.outputs

    @property
    def params(self) -> int:
        return self.inner.params

    @property
    def parts(self) -> Mapping[str, slice]:
        return {"h": slice(0, self.state - self.extra), "a": slice(self.state - self.extra, self.state)}

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        return self.inner.jet(t, y, theta, order)


EXAMPLES: Mapping[str, Augmented] = {
    "augmented": Augmented(Mlp(3, 3, (4,), time=True), extra=1),
    "augmented pendulum": Augmented(Pendulum(), extra=1),
}
