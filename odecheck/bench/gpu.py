"""The GPU suite: solves, gradients and Hessian-vector products on CUDA, in float64 and float32, as they are, compiled,
and replayed as a CUDA graph where no step looks at a value on the device. What does not work is a row that says why.

Seconds are between two CUDA events with the device synchronised around them, after a warm-up; bytes are the
allocator's. The CPU is measured afterwards with the same code, so that a row says what the device changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from odecheck.compat import compiling
from odecheck.cost import Posed, Quantity, compute, measure
from odecheck.cost.measure import timed
from odecheck.engines.base import Engine
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.solvers import Adaptive, FixedStep, Solver

from .gpu_variants import LOOP, SPAN, Variant, variant

NAN = float("nan")
SIZES = {"M×64": (8, 64, 64), "L×1024": (64, 256, 1024)}  # state, width, batch
# what a result in a number type may be off by, relative to float64 on the CPU: the solver's tolerance and round-off
BOUND = {torch.float64: 1e-6, torch.float32: 1e-2}
# In this order, each with the part of the time that may be gone once it ends: what needs the GPU comes first, graphs
# after all else on it, since a capture that fails can spoil the allocator, and the slow CPU takes what is left.
PHASES: tuple[tuple[str, Variant, float], ...] = (
    ("cuda", "eager", 0.5),
    ("cuda", "compiled", 0.75),
    ("cuda", "CUDA graph", 0.8),
    ("cpu", "eager", 1.0),
)
CPU_REPEAT = 2


@dataclass(frozen=True)
class Row:
    """One measurement. state: measured, or failed with a message. distance: from the CPU's float64 result, relative."""

    size: str
    engine: str
    method: str
    quantity: str
    variant: str
    device: str
    dtype: str
    state: str
    message: str = ""
    distance: float = NAN
    nfe_forward: float = NAN
    nfe_backward: float = NAN
    saved_bytes: float = NAN
    peak_bytes: float = NAN
    cpu_seconds: float = NAN
    wall_seconds: float = NAN


class Network(nn.Module):
    """y' = W3 tanh(W2 tanh(W1 y)), of a fixed seed."""

    def __init__(self, state: int, width: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
            self.net = nn.Sequential(
                nn.Linear(state, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, state)
            )

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.net(y)


def loss(y: Tensor) -> Tensor:
    return (y[-1] ** 2).mean() + (y[1:] ** 4).mean()


@dataclass(frozen=True)
class Item:
    """One computation of the suite."""

    size: str
    engine: Engine
    solver: Solver
    quantity: Quantity

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Those that can be: a compiled field cannot be differentiated twice by torch, and adaptive steps, and any of
        torchdiffeq's, look at values on the device, which no capture allows."""
        if self.engine is LOOP:
            return "eager", "compiled", "CUDA graph"
        return ("eager",) if self.quantity == "hvp" else ("eager", "compiled")

    def posed(self, device: str, dtype: torch.dtype) -> Posed:
        state, width, batch = SIZES[self.size]
        module = Network(state, width).to(device=device, dtype=dtype)
        start = torch.randn(batch, state, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        ts = torch.tensor([0.0, SPAN, 2 * SPAN], dtype=dtype, device=device)
        start = start.to(device=device, dtype=dtype)
        return Posed(compute(self.quantity, self.engine), module, self.solver, start, ts, loss)

    def row(self, name: str, device: str, dtype: torch.dtype, state: str = "measured", message: str = "") -> Row:
        method = getattr(self.solver, "method", self.solver.name)
        kind = str(dtype).removeprefix("torch.")
        return Row(self.size, self.engine.name, method, self.quantity, name, device, kind, state, message)


def plan(quick: bool) -> Iterator[Item]:
    """What is measured."""
    adaptive, fixed = Adaptive("dopri5", rtol=1e-5, land=True), FixedStep("rk4", step=0.1)
    first_two: tuple[Quantity, ...] = ("solution", "gradient")
    for size in list(SIZES)[: 1 if quick else None]:
        for engine in (Backprop(), Adjoint(), Closed(), Discrete()):
            for quantity in (*first_two, "hvp"):
                if quantity != "hvp" or engine.name != Adjoint().name:  # it cannot be differentiated twice
                    yield Item(size, engine, adaptive, quantity)
        for engine in (Backprop(), LOOP):
            for quantity in first_two:
                yield Item(size, engine, fixed, quantity)


def measured(
    item: Item,
    name: Variant,
    device: str,
    dtype: torch.dtype,
    expected: Callable[[], Tensor],
    repeat: int,
    *,
    counts: bool = True,
) -> Row:
    """One row: warmed up, checked against what is expected, counted, timed."""
    about = item.row(name, device, dtype)
    try:
        truth = expected()
        with compiling() if name == "compiled" else nullcontext():
            at = item.posed(device, dtype)
            run = variant(at, name)
            found = run().detach().cpu().double().clone()
            distance = float((found - truth).abs().max() / truth.abs().max())
            if not distance < BOUND[dtype]:
                return replace(about, state="failed", distance=distance, message="the result is wrong: it is not timed")
            cost = dict[str, float]()
            if name == "eager" and counts:
                cost = measure(at, repeat=0)[0].columns()
                run()  # warm: counting has emptied caches
            seconds = [timed(run, at.y0.device) for _ in range(repeat)]
    except Exception as error:  # a library or a device that cannot do it is a row of its own
        said = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        return replace(about, state="failed", message=said[:200])
    cpu, wall = zip(*seconds, strict=True)
    kept = {k: cost.get(k, NAN) for k in ("nfe_forward", "nfe_backward", "saved_bytes", "peak_bytes")}
    return replace(about, distance=distance, cpu_seconds=median(cpu), wall_seconds=median(wall), **kept)


class Expected:
    """The results of float64 on the CPU, each computed when it is first asked for."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str, str], Tensor] = {}

    def __call__(self, item: Item) -> Tensor:
        key = item.size, item.engine.name, item.solver.name, item.quantity
        if key not in self._kept:
            self._kept[key] = item.posed("cpu", torch.float64)().double()
        return self._kept[key]


@dataclass(frozen=True)
class Job:
    """One row to come. share: of the time that may be gone when it begins."""

    item: Item
    variant: Variant
    device: str
    dtype: torch.dtype
    share: float


def jobs(*, quick: bool = False, devices: tuple[str, ...] = ("cpu", "cuda")) -> list[Job]:
    """Every row of the suite, in the order in which they are measured."""
    return [
        Job(item, name, device, dtype, share)
        for device, name, share in PHASES
        if device in devices
        for item in plan(quick)
        if name in item.variants
        for dtype in (torch.float64, torch.float32)
    ]


def suite(
    asked: Iterable[Job], *, seconds: float = 420.0, repeat: int = 5, progress: Callable[[Row], None] = lambda row: None
) -> list[Row]:
    """A row for each job, within about `seconds`: what is left when they are spent is a row that says so.

    progress: is given every row as soon as there is one.
    """
    begun = time.monotonic()
    expected = Expected()
    rows: list[Row] = []
    for job in asked:
        item, on_gpu = job.item, job.device == "cuda"
        if time.monotonic() - begun > job.share * seconds:
            row = item.row(job.variant, job.device, job.dtype, "failed", "no time was left for it")
        else:  # counts are the same on both, and take several runs: those of the GPU do
            row = measured(
                item,
                job.variant,
                job.device,
                job.dtype,
                partial(expected, item),
                repeat if on_gpu else min(repeat, CPU_REPEAT),
                counts=on_gpu,
            )
        rows.append(row)
        progress(row)
    return rows
