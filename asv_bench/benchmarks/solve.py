"""Solutions: evaluations, steps, error, and CPU and wall time."""

from __future__ import annotations

import torch
from torch.utils.benchmark.utils import timer as synchronised

from . import common
from .common import DEVICES, Timed

ENGINES = ["torchdiffeq", "odecheck.odeint", "odecheck.discrete"]


class Solve(Timed):
    params = (ENGINES, ["dopri5", "bosh3"], [1e-3, 1e-6], ["float64"], DEVICES)
    param_names = ("engine", "method", "rtol", "dtype", "device")

    def setup(self, engine: str, method: str, rtol: float, dtype: str, device: str) -> None:
        common.on(device)
        self.task = common.dense("M", device, dtype)
        self.count = common.Count(self.task.field)
        self.states = self._run(engine, method, rtol)
        self.count.end()
        common.right(self.states, common.exact("M")[0], max(1e3 * rtol, 1e-3))

    def _run(self, engine: str, method: str, rtol: float) -> torch.Tensor:
        with torch.no_grad():
            return common.solve(engine, self.task, method, rtol)

    def track_nfe(self, engine: str, method: str, rtol: float, dtype: str, device: str) -> float:
        return float(self.count.calls[0])

    def track_steps_accepted(self, engine: str, method: str, rtol: float, dtype: str, device: str) -> float:
        return float(self.count.steps[0][0])

    def track_steps_rejected(self, engine: str, method: str, rtol: float, dtype: str, device: str) -> float:
        return float(self.count.steps[0][1])

    def track_error(self, engine: str, method: str, rtol: float, dtype: str, device: str) -> float:
        return common.relative(self.states, common.exact("M")[0])

    def time_cpu(self, engine: str, method: str, rtol: float, dtype: str, device: str) -> None:
        self._run(engine, method, rtol)

    track_nfe.unit = track_steps_accepted.unit = track_steps_rejected.unit = "count"  # type: ignore[attr-defined]
    track_error.unit = "relative error"  # type: ignore[attr-defined]


class SolveFixed(Solve):
    """With a fixed step, which knows no tolerance and rejects nothing."""

    params = (ENGINES, ["rk4"], [1e-6], ["float64"], DEVICES)
    track_steps_accepted = track_steps_rejected = None  # type: ignore[assignment]


class SolveSingle(Solve):
    """In float32, at a tolerance that it can hold."""

    params = (ENGINES, ["dopri5"], [1e-3], ["float32"], DEVICES)


class QuickSolve(Solve):
    params = (ENGINES, ["dopri5"], [1e-5], ["float64"], ["cpu"])
    track_steps_accepted = track_steps_rejected = None  # type: ignore[assignment]  # evaluations say it too; none are


class Wall:
    """Seconds on the wall, synchronised with a GPU where there is one."""

    params = (["torchdiffeq"], ["dopri5"], [1e-6], ["float64", "float32"], DEVICES)
    param_names = Solve.param_names
    timer = staticmethod(synchronised.timer)
    rounds, repeat, sample_time, warmup_time, number = 1, 5, 0.0, 0.0, 1

    def setup(self, engine: str, method: str, rtol: float, dtype: str, device: str) -> None:
        common.on(device)
        self.task = common.dense("M", device, dtype)
        found = self._run(engine, method, rtol)  # warms up as well
        common.right(found, common.exact("M")[0], max(1e3 * rtol, 1e-3))

    def _run(self, engine: str, method: str, rtol: float) -> torch.Tensor:
        with torch.no_grad():
            return common.solve(engine, self.task, method, rtol)

    def time_wall(self, engine: str, method: str, rtol: float, dtype: str, device: str) -> None:
        self._run(engine, method, rtol)
