"""Answers that are kept on disk, so that the next process need not work them out again.

The name of an answer is a digest of all that it depends on: the text of this package and of the one that the function
is from, the versions of Python, numpy and scipy, the function, and every number of its arguments. An argument that is
not wholly made of numbers, words and this package's own classes has no digest, and nothing about it is kept: what a
field of somebody else's computes cannot be told from outside.

A file is a pickle that may name numpy's arrays and the classes of this package, and nothing else. One that is damaged,
that names more or that cannot be written is as good as none.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any, TypeVar, cast

import numpy as np
import scipy  # pyright: ignore[reportMissingTypeStubs]

T = TypeVar("T")

OWN = __name__.partition(".")[0]
# what a pickle of numbers may name beside the classes of this package
NUMPY = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}
# names of answers, and of those that are being written
OURS = re.compile(r"[0-9a-f]{40}\.pickle|odecheck-\w+\.part")
# of a folder that holds more, what was not used for the longest time is removed
MOST_BYTES = 2**29


class _NoDigest(Exception):
    """Of something that is not made of numbers, words and classes of this package."""


@dataclass(eq=False)
class Kept:
    """A folder of answers, and what came of it.

    Attributes:
        folder: where they are; None for nowhere.
        seconds: CPU time that was spent to work out answers, those within others counted once.
        made: how many answers were worked out.
        read: how many were there already.
    """

    folder: Path | None
    seconds: float = 0.0
    made: int = 0
    read: int = 0
    _within: int = field(default=0, repr=False)

    def answer(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> T:
        """function(*args, **kwargs), from the folder where it is there."""
        name = self._name(function, args, kwargs)
        if name is not None:
            found = _read(name)
            if found is not None:
                self.read += 1
                return found[0]
        begun, self._within = process_time(), self._within + 1
        try:
            value = function(*args, **kwargs)
        finally:
            self._within -= 1
            if not self._within:
                self.seconds += process_time() - begun
        self.made += 1
        if name is not None:
            _write(name, value)
        return value

    def _name(self, function: Callable[..., object], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Path | None:
        if self.folder is None:
            return None
        asked = digest_of((function.__module__, function.__qualname__, args, dict(kwargs)))
        if asked is None:
            return None
        digest = hashlib.sha256(_code(function.__module__.partition(".")[0]) + asked)
        return self.folder / f"{digest.hexdigest()[:40]}.pickle"


_OPEN: ContextVar[Kept | None] = ContextVar("odecheck_reference_kept", default=None)


@contextmanager
def kept_in(folder: str | os.PathLike[str] | None) -> Generator[Kept]:
    """Keep answers in a folder, and look for them there, within a block.

    Args:
        folder: made where it is not there; None to keep nothing, and count what is worked out.

    Yields:
        What counts the answers that are worked out and those that are read.
    """
    opened = Kept(None if folder is None else Path(folder))
    token = _OPEN.set(opened)
    try:
        yield opened
    finally:
        _OPEN.reset(token)


def answer(function: Callable[..., T], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> T:
    """function(*args, **kwargs), kept where there is a folder for it."""
    opened = _OPEN.get()
    return function(*args, **kwargs) if opened is None else opened.answer(function, args, kwargs)


@cache
def _code(package: str) -> bytes:
    """The text of this package and of another one, and the versions of what they stand on."""
    digest = hashlib.sha256()
    for name in sorted({OWN, package}):
        folder = Path(str(sys.modules[name].__file__)).parent
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    versions = sys.version, platform.machine(), np.__version__, str(scipy.__version__)
    digest.update("\0".join(versions).encode())
    return digest.digest()


def digest_of(thing: object) -> bytes | None:
    """A digest of all that a thing is made of: two things of one digest are the same to whoever looks at them.

    Args:
        thing: numbers, words, numpy's arrays, this package's own classes, and tuples, lists and dictionaries of them.

    Returns:
        32 bytes; None for what is not wholly made of these.
    """
    digest = hashlib.sha256()
    try:
        for part in _told(thing):
            digest.update(part + b"\0")
    except _NoDigest:
        return None
    return digest.digest()


def _told(thing: Any) -> Iterator[bytes]:
    """All that a thing is made of."""
    kind = cast("type[Any]", type(thing))
    yield f"{kind.__module__}.{kind.__qualname__}".encode()
    if kind in (bool, int, float, str, type(None)):
        yield repr(thing).encode()
    elif kind is np.ndarray and thing.dtype != object:
        yield f"{thing.dtype.str} {thing.shape}".encode()
        yield thing.tobytes()
    elif kind in (tuple, list):
        yield str(len(thing)).encode()
        for part in thing:
            yield from _told(part)
    elif kind is dict:
        yield from _told(sorted(thing.items()))
    elif is_dataclass(thing) and kind.__module__.partition(".")[0] == OWN:
        for one in fields(thing):
            yield one.name.encode()
            yield from _told(getattr(thing, one.name))
    else:
        raise _NoDigest


class _Numbers(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if (module, name) in NUMPY or module.startswith(f"{OWN}.") else None
        if (module, name) in NUMPY or (
            isinstance(found, type) and (found.__module__, found.__name__) == (module, name)
        ):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is no number and no class of this package")


def _read(file: Path) -> tuple[Any] | None:
    if not file.is_file():  # a pipe has no end
        return None
    try:
        content = file.read_bytes()
        digest, rest = content[:32], content[32:]
        if hashlib.sha256(rest).digest() != digest:
            return None
        found = (_Numbers(io.BytesIO(rest)).load(),)
        os.utime(file)
        return found
    except Exception:  # whatever a file that somebody changed brings about
        return None


def _write(file: Path, value: object) -> None:
    """All of it or nothing, also where two processes write the same; where it cannot be, it is not kept."""
    with suppress(OSError, pickle.PicklingError, TypeError, AttributeError):
        content = pickle.dumps(value, protocol=4)
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix="odecheck-", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as opened:
                opened.write(hashlib.sha256(content).digest() + content)
            os.replace(name, file)
        except OSError:
            os.unlink(name)
            raise
        _make_room(file.parent)


def _make_room(folder: Path) -> None:
    """Remove what was not used for the longest time, and nothing but what is written here, also half of it."""
    mine = [file for file in folder.iterdir() if OURS.fullmatch(file.name)]
    known = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in mine)
    total = sum(size for _, size, _ in known)
    for _, size, file in known:
        if total <= MOST_BYTES:
            return
        file.unlink(missing_ok=True)
        total -= size


def default_folder() -> Path | None:
    """Where answers are kept: $ODECHECK_REFERENCES, or `odecheck/references` in the user's cache folder.

    Returns:
        A folder that may not be there yet; None for a user without a home, who has no place that is theirs alone.
    """
    own, cache = os.environ.get("ODECHECK_REFERENCES"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own)
    try:
        return (Path(cache) if cache else Path.home() / ".cache") / "odecheck" / "references"
    except RuntimeError:  # no home
        return None
