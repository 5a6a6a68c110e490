"""Hessian-vector products: reverse over reverse, the closed solve's own, and those of recorded steps."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from . import common
from .common import DEVICES, Timed

ENGINES = ["torchdiffeq backprop", "odecheck.odeint", "odecheck.discrete"]


def product(engine: str, task: common.Task, rtol: float, at_loss: Any = common.loss) -> Tensor:
    """The Hessian in the parameters times a fixed direction, flat."""
    params = list(task.field.parameters())
    along = [torch.cos(torch.arange(p.numel(), dtype=p.dtype, device=p.device)).view_as(p) for p in params]
    still = torch.zeros_like(task.y0)
    if engine == "odecheck.odeint":
        hvp = common.needed("odecheck.second_order", "hvp")
        found = hvp(task.field, task.y0, task.t, at_loss, (still, along), **common.how("dopri5", rtol)).product[1]
    elif engine == "odecheck.discrete":
        steps = common.recorded(task, "dopri5", rtol)
        theta = {name: part[None] for name, part in zip(steps.parameters, along, strict=True)}
        found = common.needed("odecheck.discrete", "hvp")(steps, at_loss, theta=theta).theta.values()
    else:
        slopes = torch.autograd.grad(at_loss(common.solve(engine, task, "dopri5", rtol)), params, create_graph=True)
        found = torch.autograd.grad(slopes, params, along)
    return torch.cat([part.detach().reshape(-1) for part in found])


@cache
def exact(size: str) -> Tensor:
    return product("odecheck.discrete", common.dense(size), 1e-10)  # quick, and of the order of its tolerance


class HessianProduct(Timed):
    params = (ENGINES, ["S", "M"], [1e-6], DEVICES)
    param_names = ("engine", "size", "rtol", "device")

    def setup(self, engine: str, size: str, rtol: float, device: str) -> None:
        common.on(device)
        self.task = common.dense(size, device)
        self.found = product(engine, self.task, rtol)
        common.right(self.found, exact(size), 1e4 * rtol)

    def track_nfe(self, engine: str, size: str, rtol: float, device: str) -> float:
        count = common.Count(self.task.field)
        product(engine, self.task, rtol)
        return float(sum(count.calls))

    def track_saved_bytes(self, engine: str, size: str, rtol: float, device: str) -> float:
        return common.saved(lambda: product(engine, self.task, rtol))

    def track_error(self, engine: str, size: str, rtol: float, device: str) -> float:
        return common.relative(self.found, exact(size))

    def time_cpu(self, engine: str, size: str, rtol: float, device: str) -> None:
        product(engine, self.task, rtol)

    track_nfe.unit = "count"  # type: ignore[attr-defined]
    track_saved_bytes.setup = common.can_count_bytes  # type: ignore[attr-defined]
    track_saved_bytes.unit = "count of bytes"  # type: ignore[attr-defined]
    track_error.unit = "relative error"  # type: ignore[attr-defined]


class QuickHessianProduct(HessianProduct):
    params = (["odecheck.odeint", "odecheck.discrete"], ["S"], [1e-5], ["cpu"])
    track_saved_bytes = None  # type: ignore[assignment]


class HessianOfStart(Timed):
    """The whole Hessian in y0 (32 rows), all directions on one recorded trajectory."""

    def setup(self) -> None:
        common.on("cpu")
        self.hessian = common.needed("odecheck.discrete", "hessian_y0")
        self.task = common.put(common.Dense(32, 64), common.drawn(1, 32), "cpu", "float64")
        start = self.task.y0.requires_grad_()
        (slope,) = torch.autograd.grad(
            common.loss(common.solve("torchdiffeq backprop", self.task, "dopri8", 1e-9)), start, create_graph=True
        )
        (exact,) = torch.autograd.grad(slope.sum(), start)  # the Hessian's product with ones, by another way
        self.task.y0 = start.detach()
        common.right(self._run().sum(dim=1), exact[0], 1e-3)

    def _run(self) -> Tensor:
        return self.hessian(common.recorded(self.task, "dopri5", 1e-6), common.loss)

    def time_cpu(self) -> None:
        self._run()
