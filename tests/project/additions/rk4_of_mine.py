"""A solver, anywhere: the classical method on a grid of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Rk4OfMine:
    step: float
    order = 4
    dense_order = 4
    stepping = "fixed"

    @property
    def name(self) -> str:
        return f"my rk4(step={self.step:g})"

    def solve(self, odeint: Any, module: nn.Module, y0: Tensor, ts: Tensor) -> Tensor:
        return odeint(module, y0, ts, method="rk4", options={"step_size": self.step, "interp": "cubic"})

    def refined(self) -> Rk4OfMine:
        return self.with_step(self.step / 2)

    def with_step(self, step: float) -> Rk4OfMine:
        return replace(self, step=step)
