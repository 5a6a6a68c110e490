"""The costs of libraries at equal achieved error as a Markdown page, a table and a figure."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from odecheck.cost.precision import COLUMNS, at_equal_error
from odecheck.cost.quantities import QUANTITIES
from odecheck.records.table import write_table
from odecheck.report.static import needs_figures
from odecheck.report.text import COLOURS

WORDS = {"solution": "Solution", "gradient": "Gradient", "hvp": "Hessian-vector product"}
HEADS = (
    "engine",
    "method",
    "rtol",
    "NFE →",
    "NFE ←",
    "steps →",
    "steps ←",
    "saved, KiB",
    "peak, KiB",
    "CPU, ms",
    "to the quickest",
)
LONGEST = 130  # of a library's own words
READING = """\
A line is one engine with that of its settings which takes the least CPU time at this error, or, where no times were
taken, the fewest evaluations. **rtol** is the tolerance that it had to be given: equal errors are not equal
tolerances. **NFE**: evaluations of the field, each with the whole batch, forwards (→) and backwards (←); those that
carry tangents count like others. **Steps**: accepted + rejected. **Saved**: the most bytes that autograd held for a
backward pass. **Peak**: the most bytes of tensors alive at once. Costs are read off between the two tolerances whose
errors enclose the one asked for, on logarithmic axes; nothing is extrapolated. A dash is what the library does not
tell, or what its ladder of tolerances did not reach. Errors are relative to the reference; CPU times are medians of
runs taken in turn. The fields are small, so most of a time is what a library does around the field; where the field
is large, what counts is NFE. Engines of one library solve alike: how far apart their times of a solution are tells
what to make of a small difference."""
NOTES = """\
- **diffrax**: evaluations are counted by the same programs, compiled once more with a call back at every evaluation;
  compiling is no part of the times. Buffers are planned by the compiler and are no tensors, so there are no bytes. Of
  its backsolve adjoint it tells no steps. Only `DirectAdjoint` can be differentiated twice; here with room for 4096
  steps, and by two programs, since the loss is torch's.
- **torchode**: every row has steps of its own; those of the row with the most are shown, which is how often the field
  was evaluated. No step ends on an output: all outputs but the last are interpolated. Its automatic differentiation
  goes through the step control too, as it does unless it is told otherwise.
- **torchdyn**: steps are told by the solver object that it is given. A solver that is named by a string tells none.
- **scipy**: solutions only; its solvers count no steps. The bytes are those of torch tensors, its own arrays are not
  among them.
- **bytes saved** within torch.func's transforms cannot be counted: torch allows no such hooks there.
- Steps of torchdiffeq, torchdyn and diffrax end on the outputs (`step_t`, no interpolator, `step_ts`), as those of
  odecheck do: derivatives of steps beyond the last time are less precise.
- **dense evaluations** (outputs inside a step) are known where a library calls back at every step: torchdiffeq and
  odecheck."""


def write(rows: Any, folder: Path, error: float, about: Mapping[str, Any]) -> Path:
    """cost.md, cost.parquet, cost.svg, cost.png. rows: of `work_precision`; about: run.json. The path of the page.

    Raises BadInput where matplotlib is missing, before anything is written.
    """
    needs_figures()
    pd: Any = import_module("pandas")
    frame: Any = pd.DataFrame(rows, columns=list(COLUMNS))
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "cost.parquet", frame)
    _draw(frame, error, folder)
    path = folder / "cost.md"
    path.write_text(markdown(frame, error, about))
    return path


def markdown(frame: Any, error: float, about: Mapping[str, Any]) -> str:
    """The page."""
    kept = {name: number for name, number in about["versions"].items() if number}
    peers = {name: _version(name) for name in dict.fromkeys(frame["library"]) if name not in kept}
    versions = ", ".join(f"{name} {number}".strip() for name, number in (kept | peers).items())
    lines = [
        f"# What solutions and derivatives cost, at an error of {error:g}",
        "",
        f"{len(frame)} rows: engine × setting × problem × quantity × tolerance, by `odecheck cost --write reports`, on "
        f"one thread of a shared machine ({os.cpu_count()} processors; {versions}). Ratios between "
        "lines tell; absolute times belong to that machine.",
        "",
        READING,
        "",
    ]
    for problem in dict.fromkeys(frame["problem"]):
        for quantity in [q for q in QUANTITIES if q in set(frame["quantity"])]:
            part = frame[(frame["problem"] == problem) & (frame["quantity"] == quantity)]
            batch = int(part["batch"].max()) if part["batch"].notna().any() else 0
            lines += [f"## {WORDS[quantity]}, {problem}" + (f" (batch {batch})" if batch else ""), ""]
            lines += [*_table(at_equal_error(part, error)), "", *_without(part, error), ""]
    lines += ["![work and precision](cost.svg)", "", "## What cannot be had, and how the rest is had", "", NOTES]
    return "\n".join(lines) + "\n"


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def best(equal: Any) -> Any:
    """Of every engine the setting with the least CPU time, or where none was taken the fewest evaluations."""
    by = "cpu_seconds" if equal["cpu_seconds"].notna().any() else "nfe_forward"
    ranked = equal.dropna(subset=[by]).sort_values(by, kind="stable")
    return ranked.drop_duplicates(["problem", "quantity", "engine"])


def _table(equal: Any) -> list[str]:
    shown = best(equal).to_dict("records")
    quickest = min((one["cpu_seconds"] for one in shown), default=math.nan)
    lines = [f"| {' | '.join(HEADS)} |", "|---|---|" + "---:|" * (len(HEADS) - 2)]
    for one in shown:
        cells = [
            one["engine"],
            one["method"],
            _cell(one["rtol"], 1, ".1e"),
            _cell(one["nfe_forward"]),
            _cell(one["nfe_backward"]),
            _steps(one, "forward"),
            _steps(one, "backward"),
            _cell(one["saved_bytes"], 2**-10, ".3g"),
            _cell(one["peak_bytes"], 2**-10, ".3g"),
            _cell(one["cpu_seconds"], 1e3, ".3g"),
            _cell(one["cpu_seconds"] / quickest, 1, ".2f"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _steps(one: Mapping[str, float], direction: str) -> str:
    accepted, rejected = one[f"accepted_{direction}"], one[f"rejected_{direction}"]
    return "–" if math.isnan(accepted) else f"{accepted:.0f} + {rejected:.0f}"


def _cell(value: float, unit: float = 1.0, form: str = ".0f") -> str:
    return "–" if math.isnan(value) else format(value * unit, form)


def _without(part: Any, error: float) -> list[str]:
    """Why engines are not in the table: what they said, or that no two of their rungs enclose the error."""
    inside = set(best(at_equal_error(part, error))["engine"])
    lines: list[str] = []
    for engine in dict.fromkeys(part["engine"]):
        mine = part[part["engine"] == engine]
        said = [_brief(m) for m in dict.fromkeys(mine["message"][mine["state"] != "measured"])]
        if engine in inside:
            continue
        errors = mine["achieved_error"].dropna()
        if len(errors):
            reached = f"its errors are between {errors.min():.1e} and {errors.max():.1e}"
            lines.append(f"- {engine}: {'; '.join([reached, *said])}")
        else:
            lines.append(f"- {engine}: {'; '.join(said) or 'no error could be measured'}")
    return ["Not among them:", "", *lines] if lines else []


def _brief(message: str) -> str:
    """The first sentence of what a library said."""
    first = message.split(". ")[0]
    return first if len(first) <= LONGEST else first[:LONGEST] + " …"


def _draw(frame: Any, error: float, folder: Path) -> None:
    """Work and precision: a row of panels for each problem, a column for each quantity; CPU time against error."""
    mpl: Any = import_module("matplotlib")
    mpl.use("Agg")
    plt: Any = import_module("matplotlib.pyplot")
    problems = list(dict.fromkeys(frame["problem"]))
    quantities = [q for q in QUANTITIES if q in set(frame["quantity"])]
    good = frame[(frame["state"] == "measured") & (frame["achieved_error"] > 0)]
    work = "cpu_seconds" if good["cpu_seconds"].notna().any() else "nfe_forward"
    engines = list(dict.fromkeys(frame["engine"]))
    # as many lines as there are engines: a width for those that share a colour
    styles = {name: (COLOURS[n % len(COLOURS)], 1.0 + 1.2 * (n // len(COLOURS))) for n, name in enumerate(engines)}
    size = 4.2 * len(quantities) + 2.6, 3.6 * len(problems)
    figure, axes = plt.subplots(len(problems), len(quantities), figsize=size, layout="constrained", squeeze=False)
    drawn: dict[str, Any] = {}
    for row, problem in zip(axes, problems, strict=True):
        for axis, quantity in zip(row, quantities, strict=True):
            part = good[(good["problem"] == problem) & (good["quantity"] == quantity)]
            for (engine, method), series in part.groupby(["engine", "method"], sort=False):
                colour, width = styles[engine]
                (drawn[engine],) = axis.plot(
                    series["achieved_error"],
                    series[work],
                    color=colour,
                    linewidth=width,
                    markersize=4,
                    marker=_mark(str(method)),
                    linestyle="--" if "8" in str(method) or "853" in str(method) else "-",
                )
            axis.axvline(error, color="black", linewidth=0.6, linestyle=":")
            axis.set(xscale="log", yscale="log", title=f"{WORDS[quantity]}, {problem}", xlabel="achieved error")
            axis.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel("CPU seconds" if work == "cpu_seconds" else "evaluations forwards")
    if drawn:
        named = [name for name in engines if name in drawn]
        title = "○ order 5   △ tsit5   □ order 8"
        figure.legend([drawn[n] for n in named], named, loc="outside right upper", fontsize=8, title=title)
    for suffix in ("svg", "png"):
        figure.savefig(folder / f"cost.{suffix}", dpi=110)
    plt.close(figure)


def _mark(method: str) -> str:
    return "^" if method == "tsit5" else "s" if "8" in method else "o"
