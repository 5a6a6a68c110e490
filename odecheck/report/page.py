"""One web page that needs nothing else: scripts, styles and data are in it, and it asks the network for nothing.

Large parts are compressed and unpacked by the reader's browser. A content security policy lets run the page's own
scripts alone, so that text of users cannot become a script even if it were not escaped.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

from odecheck.errors import needed
from odecheck.foreign import for_terminal

from . import interactive
from .captions import caption
from .text import Chart, Explorer, Grid, Report, Table, Text, shown

# tables of more rows are drawn by the page's script, page by page
WRITTEN_OUT = 150
TEMPLATES = resources.files("odecheck.report") / "templates"


def to_html(report: Report) -> str:
    """The page, as one file of HTML.

    Raises:
        BadInput: a package that it is made with is missing.
    """
    jinja2, plotly, itables = needed("report", "jinja2", "plotly.offline", "itables")
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
    )
    environment.tests |= {"text_block": _is(Text), "table": _is(Table), "explorer": _is(Explorer)}
    environment.globals |= {"shown": shown, "caption": caption, "written_out": _written_out, "sort_key": _sort_key}
    bundle = resources.files(itables) / "html"
    script = _asset("page.js")
    parts = {
        "data": json.dumps(payload(report), allow_nan=False),
        "stories": json.dumps(dict(report.stories), allow_nan=False),
        "plotly": plotly.get_plotlyjs(),
        "datatables": (bundle / "dt_bundle.js").read_text(encoding="utf-8"),
        "datatables-style": (bundle / "dt_bundle.css").read_text(encoding="utf-8"),
    }
    text = environment.from_string(_asset("page.html")).render(
        report=report,
        style=_asset("page.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        parts={
            name: base64.b64encode(gzip.compress(part.encode("utf-8", "replace"), 9, mtime=0)).decode()
            for name, part in parts.items()
        },
    )
    return text


def _printable(value: Any) -> Any:
    """Words of other people without control sequences; what is a number, or markup of the page's own, as it is."""
    return for_terminal(value) if type(value) is str else value


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _is(kind: type) -> Any:
    def fits(block: object) -> bool:
        return isinstance(block, kind)

    return fits


def _written_out(table: Table) -> bool:
    return len(table.frame) <= WRITTEN_OUT


def _sort_key(value: Any) -> Any:
    """What a number sorts by; missing ones are the smallest."""
    return value if value == value and value is not None else -1e308


def payload(report: Report) -> Any:
    """What the page's script draws: figures, tables that are not written out, and explorers."""
    figures: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    explorers: dict[str, Any] = {}
    for block in (block for section in report.sections for block in section.blocks):
        if isinstance(block, Chart | Grid):
            figures[block.id] = interactive.figures(block)
        elif isinstance(block, Table) and not _written_out(block):
            tables.setdefault(block.id, interactive.rows(block))
        elif isinstance(block, Explorer):
            tables[block.table.id] = interactive.rows(block.table, (*block.quantities, *block.by, *_joined(block)))
            explorers[block.id] = interactive.explorer(block)
    return interactive.plain({"figures": figures, "tables": tables, "explorers": explorers})


def _joined(block: Explorer) -> tuple[Any, ...]:
    from .text import Column

    return tuple(Column(name, name) for name in block.joined)


def write(report: Report, path: Path) -> None:
    """Write the page into a file, whose folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_html(report), encoding="utf-8", errors="replace")
