"""The picture of `odecheck verify`: what the command prints of a run, as SVG.

odecheck verify --run runs/picture && python docs/.hooks/picture.py runs/picture docs/verify.svg
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from odecheck.commands import look
from odecheck.records.run_folder import read

WIDTH = 110
# rich's own, without fonts of another server
OFFLINE = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def draw(folder: Path, file: Path) -> None:
    """Write the picture of the run in a folder.

    Args:
        folder: Of the run.
        file: The picture.
    """
    _, records = read(folder)
    console = Console(record=True, width=WIDTH, force_terminal=True, highlight=False, color_system="truecolor")
    console.print("$ odecheck verify", style="bold")
    look.console = lambda *, stderr=False: console
    look.records_of_a_run(records, Path("runs") / folder.name, strict=False, took=f"{len(records)} cases")
    # an id that does not change with the text, so that a change of the picture is a change of its words
    console.save_svg(str(file), title="odecheck verify", unique_id="verify", code_format=OFFLINE)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
