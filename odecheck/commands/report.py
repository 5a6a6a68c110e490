"""odecheck report: pages that people read, made from records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from odecheck.errors import TABLES

from .common import last_run, needs, refuse, say


def report(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="Folders of runs or of tables; none: the last run in runs/."),
    ] = None,
    run: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="The same as RUN, as other commands take it.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where report.html and report.md go; by default the first RUN.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also every figure as SVG and PNG, for a paper.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="What changed from the first RUN to the second: verdicts and cost.")
    ] = False,
) -> None:
    """One page that opens offline, and its Markdown twin: verdict first. Exit status 0, or 2: bad input.

    A folder is a run of odecheck verify, or holds tables of odecheck conformance,
    cost, train, of the studies or the ledger, itself or right below it.

    \b
    odecheck report
    odecheck report runs/full reports --write reports
    odecheck report runs/full --figures figures
    odecheck report --compare runs/before runs/after --write compared
    """
    needs("report", *TABLES, "jinja2", "plotly.offline", "itables")
    from odecheck.errors import BadInput
    from odecheck.report import build, markdown, page
    from odecheck.report.compare import build as build_comparison

    places = [*(folders or ()), *(run or ())] or [last_run()]
    target = write or places[0]
    try:
        if compare and len(places) != 2:
            raise BadInput(
                f"--compare takes two runs, not {len(places)}",
                "a run too many or too few",
                "odecheck report --compare runs/before runs/after",
            )
        made = build_comparison(*places) if compare else build(places)
        drawn: dict[str, str] = {}
        if figures:
            from odecheck.report import static

            drawn = static.write(made, figures, beside=target)
        page.write(made, target / "report.html")
        (target / "report.md").write_text(markdown.to_markdown(made, drawn), encoding="utf-8", errors="replace")
    except BadInput as refused:
        refuse(refused)
    say(made.headline)
    say(f"{target / 'report.html'} and report.md" + (f"; {len(drawn)} figures in {figures}" if figures else ""))
