"""Tables as parquet files, each row with a checksum: what was damaged is told, and what was not is read.

The checksums stand in the file's own metadata. A table of many rows has one for all of them.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from odecheck.errors import needed
from odecheck.foreign import one_line

from .journal import regular

KEY = b"odecheck.checksums"
# rows that have a checksum each
MOST = 20_000


@dataclass(frozen=True)
class Read:
    """What was read of a table.

    Attributes:
        frame: a pandas DataFrame of the rows that are as they were written; None where nothing can be read.
        damaged: what is not, in words.
        checked: whether the table has checksums; older ones have none.
    """

    frame: Any
    damaged: tuple[str, ...] = ()
    checked: bool = True


def can_write() -> bool:
    """Whether the extra that tables are made with is installed: without it, rows are kept as JSON."""
    return all(find_spec(name) is not None for name in ("pandas", "pyarrow"))


def write_table(path: Path, frame: Any, **options: Any) -> None:
    """Write a DataFrame as a parquet file, whole or not at all.

    Args:
        path: of the file.
        frame: what is written, without its index.
        **options: of `pyarrow.parquet.write_table`.

    Raises:
        BadInput: the extra tables is not installed.
    """
    arrow, parquet = _pyarrow()
    table = arrow.Table.from_pandas(frame, preserve_index=False)
    metadata = {**_metadata(table), KEY: json.dumps(checksums(table)).encode()}
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:  # by its name pyarrow finds none that is no UTF-8
        parquet.write_table(table.replace_schema_metadata(metadata), file, **options)
    temporary.replace(path)


def read_table(path: Path) -> Read:
    """Read such a file, or any other parquet file.

    Args:
        path: of the file.

    Returns:
        Its rows, and what could not be read or is not what was written.

    Raises:
        BadInput: the extra tables is not installed.
    """
    _, parquet = _pyarrow()
    try:
        with regular(path).open("rb") as file:
            table = parquet.read_table(file)
        kept = _metadata(table).get(KEY)
        # what pandas keeps beside the rows has no checksum, and says nothing of tables that are written here
        frame = (table if kept is None else table.replace_schema_metadata(None)).to_pandas()
    except Exception as error:  # whatever pyarrow makes of a torn file
        return Read(None, (f"{path.name}: {one_line(error)}",))
    if kept is None:
        return Read(frame, checked=False)
    with suppress(ValueError, RecursionError):
        stated: Any = json.loads(kept)
        found = checksums(table)
        if stated == found:
            return Read(frame)
        if isinstance(stated, list) and len(cast("list[Any]", stated)) == len(found) == len(frame):
            wrong = [i for i, (a, b) in enumerate(zip(cast("list[Any]", stated), found, strict=True)) if a != b]
            rows = ", ".join(str(i + 1) for i in wrong[:10]) + (", …" if len(wrong) > 10 else "")
            said = f"{path.name}: {len(wrong)} of {len(frame)} rows are not what was written (row {rows})"
            return Read(frame.drop(index=wrong).reset_index(drop=True), (said,))
    return Read(None, (f"{path.name}: it is not what was written: its rows have other checksums",))


def checksums(table: Any) -> list[str]:
    """A checksum of each row of a pyarrow table, or of a long one of all of it.

    Args:
        table: as it is written, or was read.

    Returns:
        12 hexadecimal digits each, which say what the columns are called as well.
    """
    if table.num_rows > MOST:
        whole = hashlib.sha256()
        for name, column in zip(table.column_names, table.columns, strict=True):
            values = column.to_pylist() if column.type in _words() else column.to_numpy()
            whole.update(f"{name}\0{column.type}\0".encode())
            whole.update(repr(cast("list[Any]", values)).encode() if isinstance(values, list) else values.tobytes())
        return [whole.hexdigest()[:12]]
    kinds = repr([str(column.type) for column in table.columns])
    return [hashlib.sha256(f"{kinds}{row!r}".encode()).hexdigest()[:12] for row in table.to_pylist()]


def _metadata(table: Any) -> dict[bytes, bytes]:
    return table.schema.metadata or {}


def _words() -> tuple[Any, ...]:
    arrow, _ = _pyarrow()
    return arrow.string(), arrow.large_string(), arrow.string_view(), arrow.bool_(), arrow.null()


def _pyarrow() -> tuple[Any, Any]:
    arrow, parquet, _ = needed("tables", "pyarrow", "pyarrow.parquet", "pandas")
    return arrow, parquet
