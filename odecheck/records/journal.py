"""What survives the death of a process: files that are written whole or not at all, and a journal of lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

Entry = dict[str, Any]


def replace(path: Path, content: bytes) -> None:
    """Write a file in the place of the one that is there, whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def write_table(path: Path, frame: Any, **options: Any) -> None:
    """Write a DataFrame as a parquet file, whole or not at all. options: of `DataFrame.to_parquet`."""
    temporary = path.with_name(path.name + ".tmp")
    frame.to_parquet(temporary, index=False, **options)
    temporary.replace(path)


def digest(facts: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of values of JSON, the same in whatever order their keys are."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry) + "\n"


class Journal:
    """A file of one JSON object a line, to which entries are added; it is made with the first of them.

    entries: those that it had when it was opened, without lines that were cut off. damaged: these, in words.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries, self.damaged = list[Entry](), list[str]()
        self._file: IO[str] | None = None
        for number, line in enumerate(path.read_bytes().split(b"\n") if path.exists() else (), start=1):
            try:
                self.entries += [json.loads(line)] if line.strip() else []
            except ValueError:
                self.damaged.append(f"{path.name}, line {number}: cut off after {len(line)} bytes")

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write one entry; once this returns, the death of this process does not lose it."""
        if self._file is None:
            self._file = self._appending()
        self._file.write(_line(entry))
        self._file.flush()

    def _appending(self) -> IO[str]:
        """The file, at the start of a line even if its last one was cut off."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torn = self.path.exists() and self.path.stat().st_size > 0 and self.path.read_bytes()[-1:] != b"\n"
        file = self.path.open("a", encoding="utf-8")
        if torn:
            file.write("\n")
        return file

    def rewrite(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """These entries in the place of all."""
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace(self.path, "".join(map(_line, entries)).encode())

    def remove(self) -> None:
        """Close and delete it: what it held stands elsewhere now."""
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
