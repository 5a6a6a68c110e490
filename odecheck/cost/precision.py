"""Work and precision: what a quantity costs at the error that was achieved, which is what libraries are compared by.

The same rtol means different errors in different libraries, so a comparison at equal rtol compares nothing. Every
subject climbs a ladder of its own refinements, the error of each rung is measured against the float64 reference, and
costs are read off between the two rungs whose errors enclose the one asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from odecheck_reference import Problem

from odecheck.engines.base import Engine
from odecheck.engines.found import library_of
from odecheck.engines.jax_field import traced_once
from odecheck.errors import Unsupported
from odecheck.foreign import first_line, said, words
from odecheck.instruments.surroundings import restored
from odecheck.solvers import Solver
from odecheck.subject import Subject

from .measure import NAN, Cost, Posed, achieved, measure, pose, timed
from .quantities import Quantity

WHAT = ("model", "problem", "library", "engine", "method", "rtol", "step", "quantity")
COUNTED = (
    "nfe_forward",
    "nfe_backward",
    "accepted_forward",
    "rejected_forward",
    "accepted_backward",
    "rejected_backward",
    "dense_evaluations",
    "rows_forward",
    "rows_backward",
    "batch",
    "saved_bytes",
    "peak_bytes",
    "cpu_seconds",
    "wall_seconds",
)
COLUMNS = (*WHAT, "achieved_error", *COUNTED, "device", "dtype", "state", "message")
SERIES = ("model", "problem", "library", "engine", "method", "quantity", "device", "dtype")


def ladder(solver: Solver, rungs: int) -> list[Solver]:
    """A solver and its refinements.

    Args:
        solver: the first rung.
        rungs: how many in all.

    Returns:
        The solvers, each the refinement of the one before it.
    """
    found = [solver]
    while len(found) < rungs:
        found.append(found[-1].refined())
    return found


@dataclass
class _Rung:
    """One subject at one tolerance. seconds: (CPU, wall) of each round."""

    subject: Subject
    posed: Posed
    row: dict[str, Any]
    seconds: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])


def library_name(engine: Engine) -> str:
    """The name of the library that an engine is of; of an engine that none declares, the first word of its name."""
    library = library_of(engine)
    return library.name if library else engine.name.split()[0]


def row(
    subject: Subject,
    problem: Problem,
    quantity: Quantity,
    cost: Cost | None,
    achieved_error: float,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
    message: str = "",
    state: str = "measured",
) -> dict[str, Any]:
    """One row of cost.parquet.

    Args:
        subject: what was measured.
        problem: on what.
        quantity: what was computed.
        cost: what it took; None where nothing was measured.
        achieved_error: relative; NaN where there is none.
        device: where it was computed.
        dtype: in which number type.
        message: what was said, where nothing was measured.
        state: measured, unsupported or failed, the latter two with a message.

    Returns:
        A value for each of COLUMNS.
    """
    solver, engine = subject.solver, subject.engine
    costs = dict.fromkeys(COUNTED, NAN) if cost is None else cost.columns()
    return {
        "model": type(problem.field).__name__,
        "problem": words(problem.name),
        "library": library_name(engine),
        "engine": engine.name,
        "method": getattr(solver, "method", solver.name),
        "rtol": getattr(solver, "rtol", NAN),
        "step": getattr(solver, "step", NAN),
        "quantity": quantity,
        "achieved_error": achieved_error,
        **{name: costs[name] for name in COUNTED},
        "device": device,
        "dtype": str(dtype).removeprefix("torch."),
        "state": state,
        "message": message,
    }


def work_precision(
    subjects: Iterable[Subject],
    problem: Problem,
    quantities: Sequence[Quantity] = ("gradient",),
    *,
    rungs: int = 5,
    repeat: int = 5,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
    progress: Callable[[str], None] = lambda description: None,
) -> list[dict[str, Any]]:
    """Measure every subject on refinements of its own. A failure is a row too.

    The rungs of all subjects are timed in turn, `repeat` rounds of them, so that what else the machine does falls on
    all of them alike.

    Args:
        subjects: what is measured, each from its own solver on.
        problem: without an integral term in its loss.
        quantities: what is computed.
        rungs: refinements of each subject, itself among them.
        repeat: rounds of timing, of which the median counts; with 0 there are no seconds.
        device: where it is computed.
        dtype: in which number type.
        progress: is told of each rung before it is computed.

    Returns:
        Rows of cost.parquet: for each quantity and subject its rungs, the coarsest first.
    """
    rows: list[dict[str, Any]] = []
    for quantity in quantities:
        timed_rungs: list[_Rung] = []
        for subject in subjects:
            for solver in ladder(subject.solver, rungs):
                finer = replace(subject, solver=solver)
                progress(f"{finer.engine.name} {solver.name} {quantity}")
                with restored():
                    rung = _counted(finer, problem, quantity, device, dtype)
                rows.append(rung.row if isinstance(rung, _Rung) else rung)
                if isinstance(rung, _Rung):
                    timed_rungs.append(rung)
        with traced_once():
            for _ in range(repeat):
                for rung in [one for one in timed_rungs if one.row["state"] == "measured"]:
                    _timed(rung)
        for rung in [one for one in timed_rungs if one.seconds and one.row["state"] == "measured"]:
            cpu, wall = zip(*rung.seconds, strict=True)
            rung.row.update(cpu_seconds=median(cpu), wall_seconds=median(wall))
    return rows


def _timed(rung: _Rung) -> None:
    """One round of seconds; what fails now, and did not when it was counted, is a failure all the same."""
    try:
        rung.seconds.append(timed(rung.posed, rung.posed.y0.device))
    except (Exception, SystemExit) as failure:
        costs: dict[str, Any] = {name: NAN for name in COUNTED}
        rung.row.update(costs, achieved_error=NAN, state="failed", message=first_line(said(failure)))


def _counted(
    subject: Subject, problem: Problem, quantity: Quantity, device: str, dtype: torch.dtype
) -> _Rung | dict[str, Any]:
    where: dict[str, Any] = {"device": device, "dtype": dtype}
    try:
        posed = pose(subject, problem, quantity, device=device, dtype=dtype)
        cost, found = measure(posed, repeat=0)
        error = achieved(found, problem, quantity)
    except Unsupported as reason:
        return row(subject, problem, quantity, None, NAN, **where, state="unsupported", message=words(reason))
    except (Exception, SystemExit) as failure:  # whatever a library or a model raises is a row of its own
        return row(subject, problem, quantity, None, NAN, **where, state="failed", message=first_line(said(failure)))
    if not bool(torch.isfinite(found).all()):
        return row(subject, problem, quantity, cost, NAN, **where, state="failed", message="a result is not finite")
    return _Rung(subject, posed, row(subject, problem, quantity, cost, error, **where))


def at_equal_error(rows: Any, error: float) -> Any:
    """Costs at one achieved error, and the rtol it takes.

    Between the two neighbouring rungs whose errors enclose `error`, the logarithm of a cost is taken as linear in the
    logarithm of the error, as it is for a method of fixed order.

    Args:
        rows: a DataFrame of rows as `work_precision` makes them.
        error: the relative error that all are compared at.

    Returns:
        A DataFrame with a row for each series (one problem, engine and method); NaN where no two rungs enclose the
        error: nothing is extrapolated.
    """
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    names = ["rtol", *(n for n in COUNTED if n != "batch")]
    found: list[dict[str, Any]] = []
    for key, series in rows[rows["state"] == "measured"].groupby(list(SERIES), sort=False, dropna=False):
        steps = series.sort_values(["rtol", "step"], ascending=False).reset_index(drop=True)
        costs = {name: _between(steps["achieved_error"], steps[name], error) for name in names}
        found.append({**dict(zip(SERIES, key, strict=True)), "achieved_error": error, **costs})
    return pd.DataFrame(found, columns=[*SERIES, "achieved_error", *names])


def _between(errors: Any, costs: Any, error: float) -> float:
    pairs = [(float(e), float(c)) for e, c in zip(errors, costs, strict=True) if e > 0 and math.isfinite(c)]
    for (e0, c0), (e1, c1) in pairwise(pairs):
        if e1 <= error <= e0 and e1 < e0:
            share = math.log(e0 / error) / math.log(e0 / e1)
            if c0 > 0 and c1 > 0:
                return math.exp((1 - share) * math.log(c0) + share * math.log(c1))
            return (1 - share) * c0 + share * c1
    return NAN
