"""Gradients in the parameters by every engine: evaluations and steps of both directions, bytes, error, time."""

from __future__ import annotations

from . import common
from .common import DEVICES, Timed

ENGINES = ["torchdiffeq backprop", "torchdiffeq adjoint", "odecheck.odeint", "odecheck.discrete"]


class Gradient(Timed):
    params = (ENGINES, [1e-4, 1e-7], DEVICES)
    param_names = ("engine", "rtol", "device")

    def setup(self, engine: str, rtol: float, device: str) -> None:
        common.on(device)
        self.task = common.dense("M", device)
        self.count, self.found = common.counted(engine, self.task, "dopri5", rtol)
        common.right(self.found, common.exact("M")[1], max(1e4 * rtol, 1e-3))

    def track_nfe_forward(self, engine: str, rtol: float, device: str) -> float:
        return float(self.count.calls[0])

    def track_nfe_backward(self, engine: str, rtol: float, device: str) -> float:
        return float(self.count.calls[1])

    def track_steps_backward(self, engine: str, rtol: float, device: str) -> float:
        return float(sum(self.count.steps[1]))

    def track_saved_bytes(self, engine: str, rtol: float, device: str) -> float:
        return common.saved(lambda: common.gradient(engine, self.task, "dopri5", rtol))

    def track_error(self, engine: str, rtol: float, device: str) -> float:
        return common.relative(self.found, common.exact("M")[1])

    def time_cpu(self, engine: str, rtol: float, device: str) -> None:
        common.gradient(engine, self.task, "dopri5", rtol)

    track_nfe_forward.unit = track_nfe_backward.unit = track_steps_backward.unit = "count"  # type: ignore[attr-defined]
    track_saved_bytes.setup = common.can_count_bytes  # type: ignore[attr-defined]
    track_saved_bytes.unit = "count of bytes"  # type: ignore[attr-defined]
    track_error.unit = "relative error"  # type: ignore[attr-defined]


class QuickGradient(Gradient):
    params = (ENGINES, [1e-5], ["cpu"])
    track_steps_backward = None  # type: ignore[assignment]  # evaluations say it too


class Failures:
    """What raises, or is not finite: 1."""

    params = (ENGINES, ["dopri5", "bosh3", "dopri8", "rk4"], DEVICES)
    param_names = ("engine", "method", "device")
    unit = "count"

    def setup(self, engine: str, method: str, device: str) -> None:
        common.on(device)
        self.task = common.dense("S", device)

    def track_failures(self, engine: str, method: str, device: str) -> float:
        return common.failures(lambda: common.gradient(engine, self.task, method, 1e-5))


class Memory:
    """The process's largest resident size, with torch in it: it moves by tens of per cent, and only advises."""

    params = (["torchdiffeq backprop", "odecheck.odeint"],)
    param_names = ("engine",)

    def setup(self, engine: str) -> None:
        common.on("cpu")
        self.task = common.dense("M")
        # by the adjoint, which holds little: what the setup needs is part of the process's largest size
        exact = common.gradient("torchdiffeq adjoint", self.task, "dopri8", 1e-8)
        common.right(common.gradient(engine, self.task, "dopri5", 1e-7), exact, 1e-4)

    def peakmem_gradient(self, engine: str) -> None:
        common.gradient(engine, self.task, "dopri5", 1e-7)
