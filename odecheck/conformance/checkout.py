"""A checkout of a library as one more release: read where it lies, named by its commit, and installed nowhere."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from odecheck.engines.found import libraries
from odecheck.engines.library import Library
from odecheck.engines.release import CHECKOUT, NAME
from odecheck.errors import BadInput
from odecheck.foreign import one_line
from odecheck.records.commit import described, git

from .libraries import Version

# where a repository has its package: at its root, or in src
PLACES = ("", "src")
LONGEST = 10
# files larger than that are no source
LARGEST = 10_000_000


def checkout(path: Path, known: Sequence[Library] | None = None) -> Version:
    """The library whose checkout this is, at the version that it states, with its commit in the name.

    Args:
        path: of the repository, with the package at its root or in `src`.
        known: the declarations; by default all that are found.

    Returns:
        The version: 0.2.5+checkout.657943acfa, with ".dirty" and a digest of the package's files where these are not
        those of the commit, or of a folder that is no repository.

    Raises:
        BadInput: no declared library has its package there, or more than one has; the library cannot be run beside the
            one that is installed; the package states no version.
    """
    known = libraries() if known is None else known
    found = [(lib, path / place) for lib in known for place in PLACES if _package(path / place, lib).is_file()]
    if len({lib.name for lib, _ in found}) != 1:
        packages = ", ".join(dict.fromkeys(lib.package for lib in known))
        told = " and ".join(lib.name for lib, _ in found) or "no library that is declared"
        raise BadInput(
            f"{path} is a checkout of {told}",
            "the folder of the package in place of that of its repository, or another path",
            f"--checkout PATH, PATH with one of these packages in it or in its src: {packages}",
        )
    library, home = found[0]
    if not library.side_by_side:
        raise BadInput(
            f"{library.name} cannot be run from a checkout beside the one that is installed",
            "a library whose parts import each other by its name",
            f"pip install {path} in an environment of its own, and odecheck conformance {library.name} there",
        )
    release = f"{_stated(_package(home, library), library)}{CHECKOUT}{_identity(path, home / library.package)}"
    remark = (
        f"{library.name} {release} is a checkout: what is expected to fail is what {library.tested[-1]} was known to"
    )
    return Version(library, release, remark=remark, named=True, folder=str(home.resolve()))


def _package(home: Path, library: Library) -> Path:
    return home / library.package / "__init__.py"


def _stated(begin: Path, library: Library) -> str:
    """The version that a package's text states; nothing of it is run."""
    try:
        tree = ast.parse(begin.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise BadInput(
            f"{begin} cannot be read: {one_line(str(error), 200)}", "no source of Python", "another --checkout"
        ) from None
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name("__version__")], value=ast.Constant(str() as version)):
                if NAME.fullmatch(version) and "+" not in version:
                    return version
            case _:
                pass
    raise BadInput(
        f"{begin} states no version of {library.name}",
        "a package whose version is made when it is installed",
        '__version__ = "1.2.3" in it',
    )


def _identity(path: Path, package: Path) -> str:
    """The beginning of the commit; where that does not say what the files are, a digest of them."""
    commit = described(path) if _is_root(path) else None
    dirty = (commit or "").endswith("-dirty")
    name = (commit or "").removesuffix("-dirty")
    # a tag is described by its name, with signs that no version may have
    short = name[:LONGEST] if re.fullmatch(r"[0-9a-f]{40}", name) else re.sub(r"[^0-9A-Za-z]+", ".", name).strip(".")
    if short and not dirty:
        return short
    files = f"files.{_digest(package)}"
    return f"{short}.dirty.{files}" if short else files


def _is_root(path: Path) -> bool:
    """Whether the path is that of a repository, and not of a folder within one."""
    try:
        said = git(["rev-parse", "--show-toplevel"], path)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.returncode == 0 and Path(os.fsdecode(said.stdout).rstrip("\n")) == path.resolve()


def _digest(package: Path) -> str:
    """Ten characters of the package's own text."""
    text = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        if file.is_file() and file.stat().st_size < LARGEST:
            text.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return text.hexdigest()[:LONGEST]
