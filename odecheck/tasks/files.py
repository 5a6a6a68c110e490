"""Files of a data directory: where they are, whether they are whole, and what to do where they are not."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from odecheck.errors import BadInput

VARIABLE = "ODECHECK_DATA"


def directory(given: str | os.PathLike[str] | None) -> Path | None:
    """The data directory: the one given, or that of the variable ODECHECK_DATA, or none."""
    named = given or os.environ.get(VARIABLE)
    return Path(named) if named else None


def found(folder: Path | None, name: str, how: str) -> Path:
    """The path of a file. how: how to get it. Raises BadInput where there is no such file."""
    if folder is None:
        raise BadInput(
            f"the file {name} is needed, and no data directory is given",
            "a setting of the task that reads real data",
            f"--data DIR, or {VARIABLE}=DIR, with the file in it. {how}",
        )
    path = folder / name
    if not folder.is_dir():
        seen = "is a file" if folder.exists() else "does not exist"
        raise BadInput(f"the data directory {folder} {seen}", "a misspelt path", f"--data DIR with {name} in it. {how}")
    if not path.is_file():
        raise BadInput(f"there is no file {name} in {folder}", "not downloaded yet, or another directory", how)
    return path


def whole(folder: Path | None, name: str, md5: str, how: str) -> Path:
    """The path of a file with exactly this content. Raises BadInput for one that is missing, cut off or another."""
    path = found(folder, name, how)
    with path.open("rb") as file:
        seen = hashlib.file_digest(file, "md5").hexdigest()
    if seen != md5:
        raise BadInput(
            f"{path} is not the file that is meant: {path.stat().st_size:,} bytes with MD5 {seen}, expected {md5}",
            "a download that was cut off, an error page saved under this name, or a file of another data set",
            f"rm {path}, and get it again. {how}",
        )
    return path


def table(folder: Path | None, name: str, columns: tuple[str, ...], rows: int, how: str) -> np.ndarray:
    """(rows, columns) of a CSV file with a header. Raises BadInput where it is missing, cut off or another file."""
    import pandas as pd

    path = found(folder, name, how)

    def refuse(seen: str) -> BadInput:
        return BadInput(
            f"{path}: {seen}",
            "a download that was cut off, an error page saved under this name, or another file",
            f"rm {path}, and get it again. {how}",
        )

    try:
        read = pd.read_csv(path, index_col=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise refuse(f"it cannot be read as CSV ({str(error).strip().splitlines()[0][:120]})") from error
    missing = [column for column in columns if column not in read.columns]
    if missing:
        raise refuse(f"it has the columns {list(read.columns)[:8]}, and not {missing}")
    values = read[list(columns)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if len(values) != rows:
        raise refuse(f"it has {len(values):,} rows, and not {rows:,}")
    if not np.isfinite(values).all():
        raise refuse(f"row {int(np.argmin(np.isfinite(values).all(axis=1))) + 2} has an entry that is no number")
    return values
