"""The GPU suite: solves, gradients, Hessian-vector products and steps of SNOpt on CUDA, in float64 and float32.

Each as it is, compiled, and replayed as CUDA graphs: of all of it where no step looks at a value on the device, and
else of one step. What does not work is a row that says why.

Seconds are between two CUDA events with the device synchronised around them, after a warm-up; bytes are the
allocator's. The CPU is measured afterwards with the same code, so that a row says what the device changes.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from statistics import median

import torch
from torch import Tensor

from odecheck.compat import compiling
from odecheck.cost import measure
from odecheck.cost.measure import timed
from odecheck.runner.limits import Limits
from odecheck.runner.pool import Failure, in_processes
from odecheck.runner.pool import Job as Process

from .gpu_plan import NAN, SOLVED, Item, Job, Row, jobs, row_of
from .gpu_variants import Variant, variant

# what a result in a number type may be off by, relative to float64 on the CPU: the solver's tolerance and round-off
BOUND = {torch.float64: 1e-6, torch.float32: 1e-2}
CPU_REPEAT = 2
LONG = 2.0  # seconds of runs after which two of them are enough
# seconds: after which no row of the suite is begun, and of one row, which may be the last one
WHOLE, ROW = 410.0, 60.0
NO_TIME = "no time was left for it"
WRONG, OTHER_NFE = "the result is wrong: it is not timed", "other evaluations of the field than on the CPU: "
WAITED = "called a synchronizing CUDA operation"  # torch's words


Truth = tuple[Tensor, tuple[float, float]]


class Expected:
    """The results of float64 on the CPU with their evaluations, each computed when it is first asked for."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str, str], Truth] = {}

    def __call__(self, item: Item) -> Truth:
        """(the result of an item, one flat tensor; evaluations forwards and backwards)."""
        key = item.size, item.engine.name, item.solver.name, item.quantity
        if key not in self._kept:
            at = item.posed("cpu", torch.float64)
            if item.quantity in SOLVED:
                found, counter = at.counted()
                self._kept[key] = found.double(), (counter.forward.nfe, counter.backward.nfe)
            else:
                self._kept[key] = at().double(), (NAN, NAN)
        return self._kept[key]


def host_reads(run: Callable[[], object], device: torch.device) -> float:
    """How often one run waits for the device: copies to and from the host's memory, and looks at values.

    Args:
        run: what is counted.
        device: where it computes.

    Returns:
        The number; NaN on the CPU, where there is nothing to wait for.
    """
    if device.type != "cuda":
        return NAN
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            run()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return float(sum(WAITED in str(one.message) for one in said))


def measured(
    item: Item,
    name: Variant,
    device: str,
    dtype: torch.dtype,
    expected: Callable[[Item], Truth],
    repeat: int,
    *,
    counts: bool = True,
) -> Row:
    """One row: warmed up, checked against what is expected, counted, timed."""
    about = row_of(item, name, device, dtype)
    try:
        truth, nfe = expected(item)
        about = replace(about, nfe_cpu=sum(nfe))
        with compiling() if name == "compiled" else nullcontext():
            by = item.of(name)
            at = item.posed(device, dtype, by)
            begun = time.perf_counter()
            run = variant(at, name) if by is item.engine else at
            found = run().detach().cpu().double().clone()
            about = replace(about, first_seconds=time.perf_counter() - begun)
            about = replace(about, distance=float((found - truth).abs().max() / truth.abs().max()))
            if not about.distance < BOUND[dtype]:
                return replace(about, state="failed", message=WRONG)
            if counts:
                about = replace(about, host_reads=host_reads(run, at.y0.device))
            if name == "eager" and counts and item.quantity in SOLVED:
                cost = measure(at, repeat=0)[0].columns()
                about = replace(about, **{k: cost[k] for k in ("saved_bytes", "peak_bytes")})
                about = replace(about, **{k: cost[k] for k in ("nfe_forward", "nfe_backward")})
                run()  # warm: counting has emptied caches
            elif own := getattr(by, "nfe", None):
                about = replace(about, nfe_forward=float(own[0]), nfe_backward=float(own[1]))
            if wrong := _other_nfe(about, item.same_nfe(dtype), nfe):
                return replace(about, state="failed", message=wrong)
            cpu, wall = zip(*_seconds(run, at.y0.device, repeat), strict=True)
    except Exception as error:  # a library or a device that cannot do it is a row of its own
        said = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        return replace(about, state="failed", message=said[:200])
    return replace(about, cpu_seconds=median(cpu), wall_seconds=median(wall))


def _seconds(run: Callable[[], Tensor], device: torch.device, repeat: int) -> Iterator[tuple[float, float]]:
    begun = time.perf_counter()
    for i in range(repeat):
        if i >= CPU_REPEAT and time.perf_counter() - begun > LONG:
            return
        yield timed(run, device)


def _other_nfe(row: Row, same: tuple[bool, bool], nfe: tuple[float, float]) -> str:
    """In words, where there are not as many evaluations as on the CPU although there have to be."""
    found = row.nfe_forward, row.nfe_backward
    pairs = [(a, b) for a, b, has_to in zip(found, nfe, same, strict=True) if has_to and a == a and b == b]
    if all(a == b for a, b in pairs):
        return ""
    return OTHER_NFE + ", ".join(f"{a:g} and there {b:g}" for a, b in pairs)


def rows(asked: Iterable[Job], *, seconds: float = WHOLE, repeat: int = 5, begun: float | None = None) -> Iterator[Row]:
    """A row for each job, within about `seconds`: what is left when they are spent is a row that says so.

    Args:
        asked: the rows, in the order in which they are measured.
        seconds: for all of them.
        repeat: runs that are timed.
        begun: when the seconds began, as `time.time()` says it; by default now.

    Yields:
        Each as soon as there is one.
    """
    begun, expected = time.time() if begun is None else begun, Expected()
    for job in asked:
        item, on_gpu = job.item, job.device == "cuda"
        if time.time() - begun > job.share * seconds:
            yield job.row("failed", NO_TIME)
        else:  # counts are the same on both, and take several runs: those of the GPU do
            times = repeat if on_gpu else min(repeat, CPU_REPEAT)
            yield measured(item, job.variant, job.device, job.dtype, expected, times, counts=on_gpu)


def suite(
    asked: Iterable[Job], *, seconds: float = WHOLE, repeat: int = 5, progress: Callable[[Row], None] = lambda row: None
) -> list[Row]:
    """All `rows`, in this process: what one of them spoils is spoilt for those that follow.

    progress: is given every row as soon as there is one.
    """
    found: list[Row] = []
    for row in rows(asked, seconds=seconds, repeat=repeat):
        found.append(row)
        progress(row)
    return found


def _in_a_worker(quick: bool, places: list[int], begun: float, repeat: int) -> Iterator[Row]:
    """Rows by their places in the suite. Where one fails the process ends: the device may be spoilt for others."""
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    every = jobs(quick=quick)
    for row in rows([every[i] for i in places], repeat=repeat, begun=begun):
        yield row
        if _spoils(row):
            os._exit(0)


def _spoils(row: Row) -> bool:
    return row.state == "failed" and row.device == "cuda" and row.message != NO_TIME


def suite_in_workers(
    quick: bool, *, done: Collection[tuple[str, ...]] = (), repeat: int = 5, progress: Callable[[Row], None]
) -> None:
    """The rows of the suite, in a process that is ended where a row fails, crashes or takes longer than ROW.

    Args:
        quick: the small size only.
        done: the keys of rows that need not be measured again.
        repeat: runs that are timed.
        progress: is given every row as soon as there is one.
    """
    every, begun = jobs(quick=quick), time.time()
    left = [i for i, job in enumerate(every) if job.row().key not in done]
    while left:
        work = Process("rows", _in_a_worker, (quick, list(left), begun, repeat), Limits(seconds=ROW, grace=1.0))
        meant = False  # that the process ends
        for _, found in in_processes([work], 1):
            if isinstance(found, Failure):
                if meant:
                    continue
                found = every[left[0]].row("failed", found.message[:200])
            meant = _spoils(found)
            del left[0]
            progress(found)
