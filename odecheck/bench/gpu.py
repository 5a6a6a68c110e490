"""The GPU suite: solves, gradients and Hessian-vector products on CUDA, in float64 and float32, as they are, compiled,
and replayed as a CUDA graph. What does not work is a row that says why.

Seconds are between two CUDA events with the device synchronised around them, after a warm-up; bytes are the
allocator's. The CPU is measured beside it with the same code, so that a row says what the device changes.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from ..cost import Posed, compute, measure
from ..cost.measure import timed
from ..engines.base import Engine
from ..engines.own import Closed, Discrete
from ..engines.torchdiffeq import Adjoint, Backprop
from ..solvers import Adaptive, FixedStep, Solver

NAN = float("nan")
SIZES = {"M×64": (8, 64, 64), "L×1024": (64, 256, 1024)}  # state, width, batch
# what a result in a number type may be off by, relative to float64 on the CPU: the solver's tolerance and round-off
BOUND = {torch.float64: 1e-6, torch.float32: 1e-2}
VARIANTS = ("eager", "compiled", "CUDA graph")


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


def posed(size: str, engine: Engine, solver: Solver, quantity: Any, device: str, dtype: torch.dtype) -> Posed:
    state, width, batch = SIZES[size]
    module = Network(state, width).to(device=device, dtype=dtype)
    start = torch.randn(batch, state, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ts = torch.tensor([0.0, 0.5, 1.0], dtype=dtype, device=device)
    return Posed(compute(quantity, engine), module, solver, start.to(device=device, dtype=dtype), ts, loss)


def plan(quick: bool) -> Iterator[tuple[str, Engine, Solver, str]]:
    """Size, engine, solver and quantity of every row."""
    adaptive, fixed = Adaptive("dopri5", rtol=1e-5, land=True), FixedStep("rk4", step=0.1)
    for size in list(SIZES)[: 1 if quick else None]:
        for engine in (Backprop(), Adjoint(), Closed(), Discrete()):
            for quantity in ("solution", "gradient", "hvp"):
                if quantity != "hvp" or engine.name != "torchdiffeq adjoint":  # it cannot be differentiated twice
                    yield size, engine, adaptive, quantity
        yield size, Backprop(), fixed, "solution"
        yield size, Backprop(), fixed, "gradient"


def variant(at: Posed, name: str) -> Callable[[], Tensor]:
    """What runs a posed computation in a variant. Raises whatever torch raises where it cannot."""
    if name == "eager":
        return at
    if name == "compiled":
        field: Any = torch.compile(at.module)  # the field alone: a solver's steps depend on data
        return replace(at, module=field)
    return _graph(at)


def _graph(at: Posed) -> Callable[[], Tensor]:
    """The computation, captured once and replayed: only possible when no step size depends on data."""
    side: Any = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            at()
    torch.cuda.current_stream().wait_stream(side)
    graph: Any = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = at()

    def run() -> Tensor:
        graph.replay()
        return found

    return run


def measured(
    size: str, engine: Engine, solver: Solver, quantity: str, name: str, device: str, dtype: torch.dtype,
    expected: Tensor, repeat: int,
) -> Row:  # fmt: skip
    """One row: warmed up, checked against the CPU's result, counted, timed."""
    about = Row(
        size, engine.name, getattr(solver, "method", solver.name), quantity, name, device,
        str(dtype).removeprefix("torch."), "measured",
    )  # fmt: skip
    try:
        at = posed(size, engine, solver, quantity, device, dtype)
        run = variant(at, name)
        found = run().detach().cpu().double().clone()
        distance = float((found - expected).abs().max() / expected.abs().max())
        if not distance < BOUND[dtype]:
            return replace(about, state="failed", distance=distance, message="the result is wrong: it is not timed")
        cost = measure(at, repeat=0)[0].columns() if name == "eager" else dict[str, float]()
        run()  # warm: counting has emptied caches
        seconds = [timed(run, on_gpu=device == "cuda") for _ in range(repeat)]
    except Exception as error:  # a library or a device that cannot do it is a row of its own
        said = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        return replace(about, state="failed", message=said[:200])
    cpu, wall = zip(*seconds, strict=True)
    kept = {k: cost.get(k, NAN) for k in ("nfe_forward", "nfe_backward", "saved_bytes", "peak_bytes")}
    return replace(about, distance=distance, cpu_seconds=median(cpu), wall_seconds=median(wall), **kept)


def suite(
    *, devices: tuple[str, ...] = ("cpu", "cuda"), seconds: float = 420.0, repeat: int = 5, quick: bool = False,
    progress: Callable[[Row], None] = lambda row: None,
) -> list[Row]:  # fmt: skip
    """All rows, within about `seconds`: what is left when they are spent is a row that says so."""
    begun = time.monotonic()
    rows: list[Row] = []
    for size, engine, solver, quantity in plan(quick):
        expected = posed(size, engine, solver, quantity, "cpu", torch.float64)().double()
        for device in devices:
            for dtype in (torch.float64, torch.float32):
                for name in VARIANTS if device == "cuda" else VARIANTS[:1]:
                    if time.monotonic() - begun > seconds:
                        row = Row(
                            size, engine.name, getattr(solver, "method", ""), quantity, name, device,
                            str(dtype).removeprefix("torch."), "failed", "no time was left for it",
                        )  # fmt: skip
                    else:
                        row = measured(size, engine, solver, quantity, name, device, dtype, expected, repeat)
                    rows.append(row)
                    progress(row)
    return rows


def about_device() -> str:
    """The GPU, the driver's CUDA and torch, in words."""
    if not torch.cuda.is_available():
        return f"no GPU; torch {torch.__version__}, {platform.machine()}"
    properties = torch.cuda.get_device_properties(0)
    gib = properties.total_memory / 2**30
    return f"{properties.name}, {gib:.0f} GiB, CUDA {torch.version.cuda}, torch {torch.__version__}"


def write(rows: list[Row], folder: Path, took: float) -> Path:
    """gpu.md and gpu.parquet. The path of the former."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame([vars(row) for row in rows])
    frame.to_parquet(folder / "gpu.parquet", index=False)
    lines = [
        "# On a GPU", "", f"{about_device()}. {len(rows)} rows in {took:.0f} s, made by `odecheck bench --gpu`.", "",
        "| size | engine | method | quantity | variant | device | dtype | wall, ms | CPU, ms | peak, MiB "
        "| NFE, back | distance | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in rows:
        nfe = "" if r.nfe_forward != r.nfe_forward else f"{r.nfe_forward:.0f}, {r.nfe_backward:.0f}"
        lines.append(
            f"| {r.size} | {r.engine} | {r.method} | {r.quantity} | {r.variant} | {r.device} | {r.dtype} "
            f"| {_cell(r.wall_seconds, 1e3)} | {_cell(r.cpu_seconds, 1e3)} | {_cell(r.peak_bytes, 2**-20)} | {nfe} "
            f"| {_cell(r.distance, 1, '.1e')} | {r.message.replace('|', ' ')} |"
        )
    path = folder / "gpu.md"
    path.write_text("\n".join(lines) + "\n")
    return path


def _cell(value: float, unit: float, form: str = ".3g") -> str:
    return "" if value != value else format(value * unit, form)
