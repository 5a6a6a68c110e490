"""What the GPU suite measures, and in which order: the most telling rows first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from odecheck.cost import Posed, Quantity, compute
from odecheck.engines.base import Engine
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.solvers import Adaptive, FixedStep, Solver

from . import gpu_variants
from .gpu_step import StepEngine
from .gpu_training import SnoptStep
from .gpu_variants import LOOP, CapturedSteps, Variant

Asked = Quantity | Literal["snopt step", "snopt refresh"]
SOLVED = cast(tuple[str, ...], get_args(Quantity))
STEP = StepEngine()
STEPS = 5  # of fixed length between two outputs
NAN = float("nan")
SIZES = {"M×64": (8, 64, 64), "L×1024": (64, 256, 1024)}  # state, width, batch
# In this order, each with the part of the time that may be gone when a row of it begins. What a launch costs shows at
# the small size, so that all of that comes first; compiling is slow, and the CPU takes what is left.
PHASES: tuple[tuple[str, str, Variant, float], ...] = (
    ("M×64", "cuda", "eager", 0.25),
    ("M×64", "cuda", "CUDA graph", 0.35),
    ("M×64", "cuda", "compiled", 0.55),
    ("L×1024", "cuda", "eager", 0.7),
    ("L×1024", "cuda", "CUDA graph", 0.8),
    ("L×1024", "cuda", "compiled", 0.9),
    ("M×64", "cpu", "eager", 1.0),
    ("L×1024", "cpu", "eager", 1.0),
)


@dataclass(frozen=True)
class Row:
    """One measurement; NaN is what is not known.

    Attributes:
        size: of SIZES.
        engine: the engine's name.
        method: the solver's.
        quantity: solution, gradient, hvp, snopt step or snopt refresh.
        variant: eager, compiled or CUDA graph.
        device: cuda or cpu.
        dtype: the number type.
        state: measured, or failed with a message.
        message: why it failed.
        distance: from the CPU's float64 result, relative.
        nfe_forward: evaluations of the field.
        nfe_backward: those of the backward pass.
        nfe_cpu: both together, in float64 on the CPU.
        host_reads: how often one run waited for the device, but at its end.
        saved_bytes: the most that autograd held.
        peak_bytes: the most that was allocated.
        first_seconds: of the first run on the clock, with what is compiled and captured for it.
        cpu_seconds: of this process, the median.
        wall_seconds: between two CUDA events on a GPU, the median.
    """

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
    nfe_cpu: float = NAN
    host_reads: float = NAN
    saved_bytes: float = NAN
    peak_bytes: float = NAN
    first_seconds: float = NAN
    cpu_seconds: float = NAN
    wall_seconds: float = NAN

    @property
    def key(self) -> tuple[str, ...]:
        """What the row is of."""
        return self.size, self.engine, self.method, self.quantity, self.variant, self.device, self.dtype


def row_of(item: Item, name: str, device: str, dtype: torch.dtype, state: str = "measured", message: str = "") -> Row:
    """A row of an item, without its numbers. name: of the variant."""
    method = getattr(item.solver, "method", item.solver.name)
    kind = str(dtype).removeprefix("torch.")
    return Row(item.size, item.engine.name, method, item.quantity, name, device, kind, state, message)


class Network(nn.Module):
    """y' = W3 tanh(W2 tanh(W1 y)), of a fixed seed."""

    def __init__(self, state: int, width: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
            torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
            self.net = nn.Sequential(
                nn.Linear(state, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, state)
            )

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The rate at y (batch, state)."""
        return self.net(y)


def loss(y: Tensor) -> Tensor:
    """A scalar of the states (times, batch, state)."""
    return (y[-1] ** 2).mean() + (y[1:] ** 4).mean()


def network(size: tuple[int, int], device: str, dtype: torch.dtype) -> Network:
    """A field of its own."""
    return Network(*size).to(device=device, dtype=dtype)


@lru_cache(maxsize=1)
def shared(size: tuple[int, int], device: str, dtype: torch.dtype) -> Network:
    """One field for all that graphs of one step are made for: they are kept with it."""
    return network(size, device, dtype)


@dataclass(frozen=True)
class Item:
    """One computation of the suite."""

    size: str
    engine: Engine
    solver: Solver
    quantity: Asked

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Those that can be.

        A compiled field cannot be differentiated twice by torch. Adaptive steps, and any of torchdiffeq's, look at
        values on the device, which no capture allows: a CUDA graph is one of all of them that do not, or of one step.
        """
        if self.engine is LOOP or self.engine.name == Discrete().name:
            return "eager", "compiled", "CUDA graph"
        if self.engine is STEP:
            return "eager", "CUDA graph"
        return ("eager",) if self.quantity in ("hvp", "snopt refresh") else ("eager", "compiled")

    def same_nfe(self, dtype: torch.dtype) -> tuple[bool, bool]:
        """Whether there are as many evaluations as on the CPU, forwards and backwards.

        In float32 a step is kept or not by round-off. `discrete` evaluates in pieces that fit the CPU's cache.
        """
        exact = dtype == torch.float64 or self.solver.stepping == "fixed"
        return exact, exact and self.engine.name != Discrete().name

    def of(self, name: Variant) -> Engine | SnoptStep:
        """What computes it in a variant."""
        engine = self.engine
        if engine is STEP:
            engine = StepEngine(replays=name == "CUDA graph")
        if self.quantity in SOLVED:
            if engine.name == Discrete().name and name != "eager":
                return CapturedSteps(compile=True if name == "compiled" else "CUDA graphs")
            return engine
        return SnoptStep(engine, self.quantity == "snopt refresh", name == "CUDA graph", name == "compiled")

    def posed(self, device: str, dtype: torch.dtype, by: Engine | SnoptStep | None = None) -> Posed:
        """The computation, on a device and in a number type; by: as `of` gives it, by default as it is."""
        state, width, batch = SIZES[self.size]
        by = self.of("eager") if by is None else by
        module = (shared if isinstance(by, CapturedSteps) else network)((state, width), device, dtype)
        start = torch.randn(batch, state, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        span = gpu_variants.SPAN
        ts = torch.tensor([0.0, span, 2 * span], dtype=dtype, device=device)
        start = start.to(device=device, dtype=dtype)
        run = by if isinstance(by, SnoptStep) else compute(cast(Quantity, self.quantity), by)
        return Posed(run, module, self.solver, start, ts, loss)


def plan(quick: bool) -> Iterator[Item]:
    """What is measured."""
    adaptive, fixed = Adaptive("dopri5", rtol=1e-5, land=True), FixedStep("rk4", step=gpu_variants.SPAN / STEPS)
    first_two: tuple[Asked, ...] = ("solution", "gradient")
    for size in list(SIZES)[: 1 if quick else None]:
        for quantity in (*first_two, "hvp"):
            for engine in (Backprop(), Adjoint(), Closed(), Discrete(), STEP):
                # an adjoint cannot be differentiated twice, and a step on the device has no second derivative
                if quantity != "hvp" or engine.name not in (Adjoint().name, STEP.name):
                    yield Item(size, engine, adaptive, cast(Asked, quantity))
        yield Item(size, Adjoint(), adaptive, "snopt step")
        yield Item(size, STEP, adaptive, "snopt step")
        yield Item(size, Adjoint(), adaptive, "snopt refresh")
        for engine in (Backprop(), LOOP):
            for quantity in first_two:
                yield Item(size, engine, fixed, quantity)


@dataclass(frozen=True)
class Job:
    """One row to come. share: of the time that may be gone when it begins."""

    item: Item
    variant: Variant
    device: str
    dtype: torch.dtype
    share: float

    def row(self, state: str = "measured", message: str = "") -> Row:
        """Its row, without numbers."""
        return row_of(self.item, self.variant, self.device, self.dtype, state, message)


def jobs(*, quick: bool = False, devices: tuple[str, ...] = ("cpu", "cuda")) -> list[Job]:
    """Every row of the suite, in the order in which they are measured."""
    return [
        Job(item, name, device, dtype, share)
        for size, device, name, share in PHASES
        if device in devices
        for dtype in (torch.float64, torch.float32)
        for item in plan(quick)
        if item.size == size and name in item.variants
    ]
