"""What survives the death of a process: files that are written whole or not at all, and a journal of lines."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, cast

Entry = dict[str, Any]
# of each line, over what else it holds
CHECKSUM = "checksum"


def replace(path: Path, content: bytes) -> None:
    """Write a file in the place of the one that is there, whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def regular(path: Path) -> Path:
    """The path of a file that can be read to its end, which a pipe or a device has none of.

    Raises:
        OSError: it is no such file, or not there.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is no regular file")
    return path


def digest(facts: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of values of JSON, the same in whatever order their keys are."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def parsed(text: str | bytes) -> Any:
    """What JSON says.

    Raises:
        ValueError: it is none, or is nested deeper than anything that is written here.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps({**entry, CHECKSUM: digest(entry)}) + "\n"


class Journal:
    """A file of one JSON object a line, to which entries are added; it is made with the first of them.

    Each line has a checksum. One that is not what was written is left out; lines of older versions have none.

    Args:
        path: of the file.

    Attributes:
        path: of the file.
        entries: those that it had when it was opened, without lines that were cut off or changed.
        damaged: these, in words.
        checked: whether all entries have a checksum.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries, self.damaged, self.checked = list[Entry](), list[str](), True
        self._file: IO[str] | None = None
        for number, line in enumerate(_lines(path), start=1):
            if line.strip():
                self._take(f"{path.name}, line {number}", line)

    def _take(self, where: str, line: bytes) -> None:
        try:
            found = parsed(line)
        except ValueError:
            self.damaged.append(f"{where}: cut off after {len(line)} bytes")
            return
        if not isinstance(found, dict):
            self.damaged.append(f"{where}: no row")
            return
        entry = cast(Entry, found)
        stated = entry.pop(CHECKSUM, None)
        if stated is None:
            self.checked = False
        elif stated != digest(entry):
            self.damaged.append(f"{where}: not what was written, it has another checksum")
            return
        self.entries.append(entry)

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
        """Close the file; the next entry opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _lines(path: Path) -> list[bytes]:
    return regular(path).read_bytes().split(b"\n") if os.path.lexists(path) else []
