"""For which solvers and tolerances does the numerical v turn negative, or h blow up?

HBNODE, GHBNODE and AdamNODE over the same inner networks, from h drawn and m = v = 0, are solved and differentiated
with torchdiffeq. The exact v is never negative (ADAM-3). A step of a solver is not exact: it evaluates the field at
trial states, also at ones that it then rejects, and there v may be negative. Below −ε the root of √(v + ε) is NaN; an
adaptive solver then shortens its step for ever and stops with "underflow in dt". Above all the adjoint, which solves y
backwards to its start v = 0: backwards v' is at its steepest there, and a trial step lands beyond the boundary.

Where h grows beyond 100 at every tolerance, it does so in the flow itself and no solver is to blame: a heavy ball gains
speed for as long as f pushes, while a generalised one is held by its spring and an AdamNODE by its bounded velocity.

    python -m odecheck.studies.stability reports
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from odecheck_reference.fields import Adam, Fixed, GeneralisedHeavyBall, HeavyBall, Linear, Mlp
from torch import Tensor, nn

from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.fields.from_reference import torch_twin
from odecheck.records.table import write_table
from odecheck.solvers import Adaptive, FixedStep, Solver

# a bounded and an unbounded force, alike for all models
INNER: Mapping[str, Any] = MappingProxyType({"tanh network": Mlp(2, 2, (8,), time=True), "linear": Linear(2)})
_MADE: dict[str, Callable[[Any], Any]] = {
    "HBNODE": lambda f: HeavyBall(f, Fixed(0.1)),
    "GHBNODE": lambda f: GeneralisedHeavyBall(f, Fixed(0.1), Fixed(0.7)),
    "AdamNODE, √(v + 0.001)": lambda f: Adam(f, Fixed(0.5), Fixed(0.75), 1e-3),
    "AdamNODE, √(v + 0.1)": lambda f: Adam(f, Fixed(0.5), Fixed(0.75), 0.1),
    "AdamNODE, √softplus(v) + 0.001": lambda f: Adam(f, Fixed(0.5), Fixed(0.75), 1e-3, "code"),
}
MODELS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(_MADE)
SOLVERS: tuple[Solver, ...] = (
    *(Adaptive("dopri5", rtol=10.0**-k, atol=10.0**-k) for k in (3, 4, 5, 6, 7)),
    FixedStep("euler", 2.0),
    FixedStep("euler", 0.25),
    FixedStep("rk4", 2.0),
    FixedStep("rk4", 0.25),
)
END, SEEDS, HUGE = 12.0, 3, 100.0  # HUGE: of |h|, which starts at about 1
OUTCOMES = ("none of these", "v < 0 inside a step", "v < 0 at an output", "h beyond 100", "no result")


@dataclass(frozen=True)
class Finding:
    """One model, force, solver and pass ("solution" or a gradient) over all seeds.

    outcome: the worst, index into OUTCOMES. failed: runs without a result. smallest_v: at any evaluation of the field;
    NaN where there is no v. largest_h: at the outputs of the solution.
    """

    model: str
    inner: str
    solver: str
    what: str
    outcome: int
    failed: int
    runs: int
    smallest_v: float
    largest_h: float
    message: str


class Watched(nn.Module):
    """A field that remembers the smallest v at which it was evaluated."""

    def __init__(self, field: nn.Module, v: slice | None) -> None:
        super().__init__()
        self.field, self.v, self.smallest = field, v, float("nan")

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        if self.v is not None:
            least = y[..., self.v].detach().amin().item()
            self.smallest = float(np.fmin(self.smallest, least))
        return self.field(t, y)


def study(
    models: Sequence[str] = tuple(MODELS), solvers: Sequence[Solver] = SOLVERS, *, seeds: int = SEEDS
) -> Iterator[Finding]:
    """A finding for each model, force, solver and pass."""
    for model in models:
        for inner, force in INNER.items():
            for solver in solvers:
                for what in ("solution", "gradient by adjoint", "gradient through the steps"):
                    runs = [_run(MODELS[model](force), solver, what, seed) for seed in range(seeds)]
                    yield _finding(model, inner, solver, what, runs)


def _run(field: Any, solver: Solver, what: str, seed: int) -> tuple[int, float, float, str]:
    """outcome, smallest v evaluated, largest |h|, message."""
    rng = np.random.default_rng(seed)
    theta = torch.tensor(rng.normal(size=field.params))
    parts = field.parts
    module = Watched(torch_twin(field)(theta), parts.get("v"))
    y0 = torch.zeros(1, field.state, dtype=torch.float64)
    y0[:, parts["h"]] = torch.tensor(rng.normal(size=y0[:, parts["h"]].shape))
    ts = torch.linspace(0.0, END, 9, dtype=torch.float64)
    engine = Backprop() if what == "gradient through the steps" else Adjoint()
    try:
        y = engine.solution(module, solver, y0, ts)
        h = float(y[..., parts["h"]].abs().max())
        if not torch.isfinite(y).all():
            return 4, module.smallest, h, "a value is not a number"
        if what != "solution":
            forward = module.smallest
            got = engine.gradient(module, solver, y0, ts, lambda y: y[-1, :, parts["h"]].square().sum() / 2)
            if not (torch.isfinite(got.y0).all() and torch.isfinite(got.theta).all()):
                return 4, float(np.fmin(forward, module.smallest)), h, "a gradient is not a number"
    except (AssertionError, RuntimeError) as error:
        return 4, module.smallest, float("nan"), str(error).split("\n")[0]
    negative = "v" in parts and bool((y[..., parts["v"]] < 0).any())
    outcome = 3 if h > HUGE else 2 if negative else 1 if module.smallest < 0 else 0
    return outcome, module.smallest, h, ""


def _finding(
    model: str, inner: str, solver: Solver, what: str, runs: Sequence[tuple[int, float, float, str]]
) -> Finding:
    outcomes, smallest, largest, messages = zip(*runs, strict=True)
    return Finding(
        model,
        inner,
        _named(solver),
        what,
        max(outcomes),
        sum(o == 4 for o in outcomes),
        len(runs),
        float(np.fmin.reduce(smallest)),
        float(np.fmax.reduce(largest)),
        next((m for m in messages if m), ""),
    )


def _named(solver: Solver) -> str:
    if isinstance(solver, Adaptive):
        return f"{solver.method} {solver.rtol:.0e}"
    return f"{solver.method} h={solver.step:g}" if isinstance(solver, FixedStep) else solver.name


def to_markdown(findings: Sequence[Finding]) -> str:
    """The table, worst outcome of each row's runs."""
    lines = [
        "# Where v turns negative and h blows up",
        "",
        EXPLANATION,
        "",
        "| model | force | solver | pass | worst outcome | no result | smallest v evaluated | largest abs(h) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for f in findings:
        v = "" if np.isnan(f.smallest_v) else f"{f.smallest_v:.2g}"
        why = f" ({f.message})" if f.message else ""
        h = "" if np.isnan(f.largest_h) else f"{f.largest_h:.2g}"
        lines.append(
            f"| {f.model} | {f.inner} | {f.solver} | {f.what} | {OUTCOMES[f.outcome]}{why} "
            f"| {f.failed} of {f.runs} | {v} | {h} |"
        )
    return "\n".join(lines) + "\n"


def to_table(findings: Sequence[Finding]) -> Any:
    """A pandas DataFrame, one row for each finding; outcome: one of OUTCOMES in words."""
    pd: Any = import_module("pandas")
    rows = [{**asdict(f), "outcome": OUTCOMES[f.outcome]} for f in findings]
    return pd.DataFrame(rows, columns=[field.name for field in fields(Finding)])


def picture(findings: Sequence[Finding], path: Path) -> None:
    """One panel for each pass: models and forces down, solvers across, the worst outcome as colour."""
    mpl: Any = import_module("matplotlib")
    mpl.use("Agg")
    plt: Any = import_module("matplotlib.pyplot")
    from matplotlib.colors import BoundaryNorm, ListedColormap

    rows = list(dict.fromkeys((f.model, f.inner) for f in findings))
    columns = list(dict.fromkeys(f.solver for f in findings))
    passes = list(dict.fromkeys(f.what for f in findings))
    colours = ListedColormap(["#e8f0e8", "#fde9a9", "#f4a259", "#5b8fb9", "#8c2f39"])
    norm = BoundaryNorm(np.arange(-0.5, len(OUTCOMES)), len(OUTCOMES))
    figure, axes = plt.subplots(1, len(passes), figsize=(15.5, 5.6), sharey=True, layout="constrained", squeeze=False)
    image: Any = None
    for axis, what in zip(axes[0], passes, strict=True):
        grid = np.full((len(rows), len(columns)), np.nan)
        for f in findings:
            if f.what == what:
                at = rows.index((f.model, f.inner)), columns.index(f.solver)
                grid[at] = f.outcome
                note = (
                    f"{f.failed}/{f.runs}"
                    if f.failed
                    else ""
                    if np.isnan(f.smallest_v) or f.smallest_v >= 0
                    else f"{f.smallest_v:.0e}"
                )
                axis.text(
                    at[1], at[0], note, ha="center", va="center", fontsize=6.5, color="white" if f.failed else "black"
                )
        image = axis.imshow(grid, cmap=colours, norm=norm, aspect="auto")
        axis.set_title(what)
        axis.set_xticks(range(len(columns)), columns, rotation=60, ha="right", fontsize=8)
        axis.set_yticks(range(len(rows)), [f"{m}\n{i}" for m, i in rows], fontsize=8)
        axis.set_xticks(np.arange(-0.5, len(columns)), minor=True)
        axis.set_yticks(np.arange(-0.5, len(rows)), minor=True)
        axis.grid(which="minor", color="white", linewidth=1)
        axis.tick_params(which="minor", length=0)
    bar = figure.colorbar(image, ax=axes[0], ticks=range(len(OUTCOMES)), shrink=0.8)
    bar.ax.set_yticklabels(OUTCOMES, fontsize=8)
    figure.suptitle(
        "Worst of the runs of each cell; numbers: runs without a result, or the smallest v evaluated", fontsize=10
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


EXPLANATION = (__doc__ or "").split("\n\n", 1)[1].split("\n\n    python")[0]


def main(folder: str = "reports") -> None:
    """Write stability.md, its picture and its table into a folder."""
    torch.set_num_threads(1)
    findings = list(study())
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "stability.md").write_text(to_markdown(findings) + "\n![stability](stability.png)\n", encoding="utf-8")
    picture(findings, target / "stability.png")
    write_table(target / "stability.parquet", to_table(findings))


if __name__ == "__main__":
    main(*sys.argv[1:2])
