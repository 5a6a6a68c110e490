"""odecheck cost: what solves, gradients and second derivatives cost, at equal achieved error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import INTERRUPTED, Progress, check_device, new_run, refuse

if TYPE_CHECKING:
    from odecheck_reference import Problem

    from ..subject import Subject

SHOWN = (
    "engine", "method", "quantity", "nfe_forward", "nfe_backward", "accepted_forward", "accepted_backward",
    "saved_bytes", "peak_bytes", "cpu_seconds",
)  # fmt: skip


def cost(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET", help="As for odecheck verify; none: every engine on shipped problems."),
    ] = None,
    quantity: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="solution, gradient or hvp; may be repeated. All of them.")
    ] = None,
    error: Annotated[float, typer.Option(help="The achieved error at which costs are compared.")] = 1e-6,
    problem: Annotated[str, typer.Option(metavar="TEXT", help="Only problems whose name contains this.")] = "",
    subject: Annotated[str, typer.Option(metavar="TEXT", help="Only subjects whose name contains this.")] = "",
    rungs: Annotated[int, typer.Option(help="Refinements of each subject.")] = 6,
    repeat: Annotated[int, typer.Option(help="Rounds for the seconds; 0: counts and bytes only.")] = 5,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default a new one in runs/.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep what the run folder has; measure the rest.")] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write cost.md, cost.parquet, cost.svg and cost.png there.")
    ] = None,
) -> None:
    """Measure evaluations, steps, bytes and seconds on a ladder of tolerances; compare at equal achieved error.

    Writes cost.parquet: a row for each subject, problem, quantity and tolerance,
    with the error that was achieved. Costs at one error are read off between the
    two tolerances that enclose it. What an engine cannot tell is left empty.

    \b
    odecheck cost
    odecheck cost --problem "heavy ball" --quantity gradient --error 1e-5
    odecheck cost --repeat 0 --run runs/cost
    odecheck cost --write reports
    odecheck cost my_package.my_model:subjects
    odecheck cost --device cuda --dtype float32
    """
    import torch

    from ..cost import QUANTITIES, work_precision
    from ..door import BadInput

    asked: Any = tuple(quantity or QUANTITIES)
    folder = run or new_run()
    try:
        _check(asked, QUANTITIES, device, dtype)
        work = _work(targets or [], subject, problem)
        begun = _begin(folder, resume, {"source": [[p.name, [s.name for s in found]] for p, found in work]})
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        rows = list(begun)
        kept = {(row["problem"], row["quantity"]) for row in rows}  # written all at once
        progress = Progress(sum(len(found) for _, found in work) * len(asked) * rungs)
        with progress:
            for at, found in work:
                for what in asked:
                    if (at.name, what) in kept:
                        continue
                    how = {"rungs": rungs, "repeat": repeat, "device": device, "dtype": getattr(torch, dtype)}
                    rows += work_precision(found, at, (what,), **how, progress=progress.step)
                    _write(folder, rows)
        torch.set_num_threads(threads)
    except BadInput as refused:
        refuse(refused)
    except KeyboardInterrupt:
        typer.echo(f"Interrupted. To go on, type the same command with: --run {folder} --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _show(rows, error, folder)
    if write is not None:
        import json

        from ..cost import page

        typer.echo(str(page.write(rows, write, error, json.loads((folder / "run.json").read_text()))))


def _check(asked: tuple[str, ...], known: tuple[str, ...], device: str, dtype: str) -> None:
    from ..door import BadInput

    strange = [name for name in asked if name not in known]
    if strange:
        raise BadInput(f"there is no quantity {strange[0]!r}", "a misspelt name", f"--quantity {' or '.join(known)}")
    if dtype not in ("float64", "float32"):
        raise BadInput(f"no costs are measured in {dtype!r}", "a misspelt number type", "--dtype float64 or float32")
    check_device(device)


def _work(targets: list[str], subject: str, problem: str) -> list[tuple[Problem, list[Subject]]]:
    """Problems, each with its subjects. Raises BadInput when nothing is left."""
    from ..cost import shipped
    from ..door import BadInput
    from ..target import pairs

    if targets:
        found = pairs(targets=targets, tier="quick", state=None, times=None)
    else:
        found = [(s, p) for p in shipped.problems() for s in shipped.settings()]
    work: dict[str, tuple[Problem, list[Subject]]] = {}
    for one, at in found:
        if subject.lower() in one.name.lower() and problem.lower() in at.name.lower():
            work.setdefault(at.name, (at, []))[1].append(one)
    if not work:
        raise BadInput(
            f"nothing has a subject with {subject!r} and a problem with {problem!r} in its name",
            "a misspelt name",
            f"--problem with a part of one of: {'; '.join(sorted({p.name for _, p in found}))}",
        )
    return list(work.values())


def _begin(folder: Path, resume: bool, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows that the folder has already. Raises BadInput for a folder that is taken."""
    import pandas as pd

    from ..door import BadInput
    from ..store import about

    table = folder / "cost.parquet"
    if table.exists() and not resume:
        raise BadInput(f"{folder} already holds costs", "the same --run twice", "--resume, or another --run")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "run.json").exists():
        import json

        (folder / "run.json").write_text(json.dumps(about(facts, seed=0), indent=1) + "\n")
    return pd.read_parquet(table).to_dict("records") if table.exists() else []  # pyright: ignore[reportReturnType]


def _write(folder: Path, rows: list[dict[str, Any]]) -> None:
    import pandas as pd

    from ..cost import COLUMNS

    temporary = folder / "cost.parquet.tmp"
    pd.DataFrame(rows, columns=list(COLUMNS)).to_parquet(temporary, index=False)
    temporary.replace(folder / "cost.parquet")


def _show(rows: list[dict[str, Any]], error: float, folder: Path) -> None:
    import pandas as pd

    from ..cost import COLUMNS, at_equal_error

    frame: Any = pd.DataFrame(rows, columns=list(COLUMNS))
    equal = at_equal_error(frame, error)
    for name, part in equal.groupby("problem", sort=False):
        typer.echo(f"\n{name}, at an achieved error of {error:g} (read off between two tolerances):")
        known = part.dropna(subset=["achieved_error"])[list(SHOWN)].rename(columns={"cpu_seconds": "cpu_ms"})
        known["cpu_ms"] *= 1e3
        typer.echo(known.to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.4g}"))
    for state in ("unsupported", "failed"):
        for one in frame[frame["state"] == state][["engine", "message"]].drop_duplicates().to_dict("records"):
            typer.echo(f"{state}: {one['engine']}: {one['message']}")
    typer.echo(f"\n{len(frame)} rows in {folder / 'cost.parquet'}")
