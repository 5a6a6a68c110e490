"""The cost of one solve, gradient or Hessian-vector product: counts, bytes and seconds, each from a run of its own.

Counts and bytes are exact, and the same on every run; seconds are medians over runs that nothing else watches. What
only some engines tell is NaN for the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import torch
from odecheck_reference import Problem
from torch import Tensor, nn

from odecheck.engines.jax_field import traced_once
from odecheck.errors import BadInput
from odecheck.fields.losses import torch_loss
from odecheck.instruments.live_bytes import LiveBytes
from odecheck.instruments.saved_bytes import saved_bytes
from odecheck.instruments.step_counts import Counter, Counts, counted
from odecheck.solvers import Solver
from odecheck.subject import Subject, to_numpy

from .quantities import Compute, Quantity, compute, error

NAN = float("nan")


@dataclass(frozen=True)
class Cost:
    """What one computation costs, for a whole batch; `per_sample` divides it.

    saved_bytes: the most that autograd held for a backward pass. peak_bytes: the most bytes of tensors alive at once
    that the computation made: counted on the CPU, the allocator's on a GPU. cpu_seconds: of this process.
    wall_seconds: between two CUDA events on a GPU.
    """

    counts: Counts
    batch: int
    saved_bytes: float = NAN
    peak_bytes: float = NAN
    cpu_seconds: float = NAN
    wall_seconds: float = NAN

    def columns(self) -> dict[str, float]:
        """All of it by name; NaN for what is not known."""
        flat: dict[str, Any] = {**asdict(self.counts), **asdict(self)}
        del flat["counts"]
        return {name: NAN if value is None else float(value) for name, value in flat.items()}

    @property
    def per_sample(self) -> dict[str, float]:
        """Evaluations of single rows, bytes and seconds, divided by the batch.

        Steps are those of the whole batch (they are chosen for all rows together), so they are not divided; what a row
        costs that is solved alone is told by `alone`.
        """
        shared = ("rows_forward", "rows_backward", "saved_bytes", "peak_bytes", "cpu_seconds", "wall_seconds")
        every = self.columns()
        return {name: every[name] / self.batch for name in shared}


@dataclass(frozen=True)
class Posed:
    """Everything that one computation needs, on its device and in its number type."""

    run: Compute
    module: nn.Module
    solver: Solver
    y0: Tensor
    ts: Tensor
    loss: Callable[[Tensor], Tensor]

    def __call__(self) -> Tensor:
        return self.run(self.module, self.solver, self.y0, self.ts, self.loss).detach()

    def counted(self, *, rows: bool = False) -> tuple[Tensor, Counter]:
        """The same, counted."""
        with counted(self.module, self.solver, rows=rows) as counter:
            found = self.run(self.module, self.solver, self.y0, self.ts, counter.loss(self.loss)).detach()
        return found, counter


def pose(
    subject: Subject,
    problem: Problem,
    quantity: Quantity = "gradient",
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
) -> Posed:
    """A subject and a problem, ready to compute. Raises BadInput for a problem with an integral term in its loss."""
    if problem.running is not None:
        raise BadInput(
            f"problem {problem.name!r} has a running cost, which adds a state that its plain solution does not have",
            "a problem that was made for the verification of gradients",
            "problem.with_(running=None)",
        )

    def put(array: Any) -> Tensor:
        return torch.tensor(array, dtype=dtype, device=device)

    module = subject.module(problem).to(device=device, dtype=dtype)
    ts = torch.tensor(problem.ts, dtype=dtype, device=device)
    run = compute(quantity, subject.engine)
    return Posed(run, module, subject.solver, put(problem.y0), ts, torch_loss(problem.loss))


def measure(posed: Posed, *, repeat: int = 3, memory: bool = True) -> tuple[Cost, Tensor]:
    """The cost, and what was computed. repeat: runs for the seconds, none for 0; memory: count bytes as well.

    Raises whatever the computation raises, Unsupported among it.
    """
    found, counter = posed.counted(rows=True)
    cost = Cost(counter.counts(posed.ts), len(posed.y0))
    on_gpu = posed.y0.device.type == "cuda"
    if memory and not counter.elsewhere:  # another framework's bytes are no tensors of torch
        cost = replace(cost, saved_bytes=_or_nan(lambda: saved_bytes(posed)))
        peak = (lambda: _cuda_peak(posed, posed.y0.device)) if on_gpu else (lambda: _live_peak(posed))
        cost = replace(cost, peak_bytes=_or_nan(peak))
    if repeat:
        with traced_once():
            seconds = [timed(posed, posed.y0.device) for _ in range(repeat + 1)][1:]  # the first one warms up
        cpu, wall = zip(*seconds, strict=True)
        cost = replace(cost, cpu_seconds=median(cpu), wall_seconds=median(wall))
    return cost, found


def _or_nan(count: Callable[[], float]) -> float:
    """A count that torch does not allow inside its function transforms is not known."""
    try:
        return count()
    except RuntimeError as refused:
        if "hooks" in str(refused):
            return NAN
        raise


def _live_peak(run: Callable[[], Tensor]) -> float:
    with LiveBytes() as live:
        run()
    return float(live.peak)


def _cuda_peak(run: Callable[[], Tensor], device: torch.device) -> float:
    with torch.cuda.device(device):  # of several GPUs the one that computes, not the current one
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        torch.cuda.synchronize()
        return float(torch.cuda.max_memory_allocated() - before)


def timed(run: Callable[[], Tensor], device: torch.device) -> tuple[float, float]:
    """Seconds of the process and of the wall for one run; on a GPU the latter between two events of its stream."""
    if device.type != "cuda":
        cpu, wall = time.process_time(), time.perf_counter()
        run()
        return time.process_time() - cpu, time.perf_counter() - wall
    with torch.cuda.device(device):  # an event belongs to the device that is current when it is recorded
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        cpu = time.process_time()
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize()
        return time.process_time() - cpu, begin.elapsed_time(end) / 1000


def alone(subject: Subject, problem: Problem, quantity: Quantity = "gradient", **how: Any) -> list[Cost]:
    """The cost of every row of a problem solved alone, with steps of its own: what sharing steps saves or wastes.

    The loss is that of the solution's own row with the others' held still, which costs the same to differentiate.
    """
    posed = pose(subject, problem, quantity, **how)
    rows: list[Cost] = []
    for i in range(len(posed.y0)):
        whole = posed.y0.expand(len(posed.ts), *posed.y0.shape)

        def own(states: Tensor, i: int = i, whole: Tensor = whole) -> Tensor:
            return posed.loss(torch.cat([whole[:, :i], states, whole[:, i + 1 :]], dim=1))

        rows.append(measure(replace(posed, y0=posed.y0[i : i + 1], loss=own), repeat=0, memory=False)[0])
    return rows


def achieved(found: Tensor, problem: Problem, quantity: Quantity) -> float:
    """The relative error of what was computed, against the float64 reference; NaN where the reference cannot tell."""
    return error(to_numpy(found), problem, quantity)
