"""Mistakes about what models put around a solve: parameters of its time, starts that are no leaves of the graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .base import wrong_engine


class _Constant(nn.Module):
    """A field of which one parameter is taken for a constant."""

    def __init__(self, inner: nn.Module, name: str) -> None:
        super().__init__()
        self.inner, self.name = inner, name

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The same value; no derivative in that parameter."""
        value = self.inner.get_parameter(self.name)
        return torch.func.functional_call(self.inner, {self.name: value.detach()}, (t, y))


def _constant(name: str) -> Any:
    def attached(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
        return engine.attached(_Constant(module, name), solver, y0, ts)

    return attached


BEGIN_DETACHED = wrong_engine("where a cell begins is a constant", attached=_constant("begin"))
LENGTH_DETACHED = wrong_engine("the length of a cell is a constant", attached=_constant("length"))


def _detached(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    half = y0.shape[1] // 2
    return engine.attached(module, solver, torch.cat([y0[:, :half], y0[:, half:].detach()], dim=1), ts)


def _leaves_alone(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    return engine.attached(module, solver, y0 if y0.is_leaf else 0.5 * (y0 + y0.detach()), ts)


START_DETACHED = wrong_engine("of the parts of a start the first alone is differentiated", attached=_detached)
LEAVES_ALONE = wrong_engine("half of a start that is no leaf of the graph is a constant", attached=_leaves_alone)
