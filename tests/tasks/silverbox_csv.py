"""A file in the format of the real silverbox."""

from __future__ import annotations

from pathlib import Path


def csv(folder: Path, rows: int) -> Path:
    path = folder / "silverbox.csv"
    body = "".join(f"{i % 7 / 7:.6f},{i % 5 / 5:.6f},\n" for i in range(rows))
    path.write_text('"V1","V2",\n' + body)
    return path
