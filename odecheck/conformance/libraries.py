"""Which versions of the declared libraries can be run here."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from odecheck.engines.found import add, found, libraries
from odecheck.engines.library import Library
from odecheck.engines.release import NotInstalled, install, is_installed
from odecheck.errors import BadInput
from odecheck.runner.imports import imported


@dataclass(frozen=True)
class Version:
    """A library at one version.

    Attributes:
        library: its declaration.
        release: the version; an empty text where none is installed.
        trouble: why it cannot be run, or nothing.
        fix: what to type then.
        remark: what is to be known of it, or nothing.
        named: whether it was asked for by its name.
        folder: of a checkout, where its package lies; otherwise empty: it is where releases are kept.
    """

    library: Library
    release: str
    trouble: str = ""
    fix: str = ""
    remark: str = ""
    named: bool = False
    folder: str = ""


def versions(wanted: Sequence[str], folder: Path, known: Sequence[Library] | None = None) -> Iterator[Version]:
    """The versions that were asked for. Releases that are missing are installed.

    A library without a version comes in all its tested ones where they can be run side by side, and otherwise in the
    one that is installed. What cannot be run comes with its trouble and is no exception.

    Args:
        wanted: each "NAME" or "NAME==VERSION", or where a library of one's own is declared: a file or a module, as
            `odecheck.runner.imports.imported` takes them, with LIBRARY as the usual name. Of nothing, all libraries.
        folder: where releases are kept.
        known: the declarations; by default all that are found.

    Yields:
        The versions, of each library the newest first.

    Raises:
        BadInput: a library that is not known, or a declaration that is wrong.
    """
    known = libraries() if known is None else known
    by_name = {library.name: library for library in known}
    for text in wanted or by_name:
        name, _, release = text.partition("==")
        library = by_name.get(name) or own(name)
        if library is None:
            raise BadInput(
                f"there is no library {name!r}",
                "; or ".join(("a misspelt name", *found().troubles)),
                f"one of {', '.join(by_name)}",
            )
        newest_first = tuple(reversed(library.tested)) if library.side_by_side else (library.installed,)
        releases = (release,) if release else newest_first
        for one in releases:
            yield _version(library, one, folder, bool(wanted))


def own(target: str) -> Library | None:
    """The library that somebody's file or module declares.

    Args:
        target: "path/to/file.py", "package.module", each with ":NAME" where its name is not LIBRARY.

    Returns:
        The library, which is one of those of this process from now on; None where there is no such module.

    Raises:
        BadInput: the file is not there, does not import, or declares none, or one that is wrong.
    """
    if not _is_there(target.partition(":")[0]):
        return None
    try:
        library, module = imported(target, usual="LIBRARY", command="odecheck conformance")
    except BadInput as error:
        if ".py" in target:
            raise
        raise BadInput(f"there is no library {target!r}, and {error.seen}", error.cause, error.fix) from error
    return add(target, library, module)


def _is_there(where: str) -> bool:
    if where.endswith(".py"):
        return True
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return all(part.isidentifier() for part in where.split(".")) and find_spec(where) is not None
    except (ImportError, ValueError):  # a package above it that is none
        return False
    except (Exception, SystemExit):  # one that raises: the import says so in words
        return True


def _version(library: Library, release: str, folder: Path, named: bool) -> Version:
    if not library.side_by_side:
        if not library.installed:
            return Version(library, "", f"{library.name} is not installed", library.how_to_install, named=named)
        if release != library.installed:
            return Version(
                library,
                release,
                f"{library.name} {library.installed} is installed",
                f"pip install {library.package}=={release}",
                named=named,
            )
    elif not is_installed(library.package, release):
        try:
            install(library.package, release, folder)
        except NotInstalled as error:
            return Version(library, release, str(error), error.fix, named=named)
    remark = (
        ""
        if release in library.tested
        else (
            f"{library.name} {release} is a version that these claims were not tested with: what is expected to fail "
            f"is what {library.tested[-1]} was known to"
        )
    )
    return Version(library, release, remark=remark, named=named)
