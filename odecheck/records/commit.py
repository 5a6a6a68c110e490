"""What git says of a repository, without running anything that the repository itself asks for.

A repository that came from somebody else configures programs: a monitor of its files, hooks, filters of contents,
pagers, ways to fetch what is missing. None of them is needed to read which commit this is.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

PATIENCE = 60.0
PACKAGE = Path(__file__).parents[1]
# what would run something, or ask somebody, and what it is set to
NOTHING = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.pager": "cat",
    "core.sshCommand": "false",
    "core.askPass": "false",
    "core.editor": "false",
    "diff.external": "",
    "gpg.program": "false",
    "log.showSignature": "false",
    "submodule.recurse": "false",
}
# empty: no way of fetching is allowed, whatever the repository says of it
ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
}
_DRIVERS = r"^(filter\..*\.(clean|smudge|process|required)|diff\..*\.(command|textconv))$"


def git(words: Sequence[str], folder: str | os.PathLike[str] = ".") -> subprocess.CompletedProcess[bytes]:
    """Ask git about the repository of a folder.

    Args:
        words: of a command that reads.
        folder: in or below the repository.

    Returns:
        What came of it.

    Raises:
        OSError: there is no git.
        subprocess.TimeoutExpired: it has not answered in a minute.
    """
    known = _run(["config", "-z", "--show-scope", "--name-only", "--get-regexp", _DRIVERS], folder, NOTHING)
    return _run(words, folder, NOTHING | {name: "" for name in _of_the_repository(known.stdout)})


def _of_the_repository(listed: bytes) -> Iterator[str]:
    """The drivers of its own; those of the user are the user's."""
    parts = listed.decode(errors="surrogateescape").split("\0")
    for scope, name in zip(parts[::2], parts[1::2], strict=False):
        if scope not in ("system", "global"):
            yield name


def _run(
    words: Sequence[str], folder: str | os.PathLike[str], settings: dict[str, str]
) -> subprocess.CompletedProcess[bytes]:
    keys = {f"GIT_CONFIG_KEY_{i}": name for i, name in enumerate(settings)}
    values = {f"GIT_CONFIG_VALUE_{i}": value for i, value in enumerate(settings.values())}
    kept = {name: value for name, value in os.environ.items() if name != "GIT_EXTERNAL_DIFF"}
    environment = {**kept, **ENVIRONMENT, **keys, **values, "GIT_CONFIG_COUNT": str(len(settings))}
    return subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, check=False, timeout=PATIENCE, env=environment
    )


def own_text() -> str:
    """Twelve characters of all of odecheck's own text: what was found of it holds of that text alone."""
    texts = [file.read_bytes() for file in sorted(PACKAGE.rglob("*.py"))]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:12]


def described(folder: str | os.PathLike[str] = ".") -> str | None:
    """The commit of a folder, in the words of `git describe --always --dirty --abbrev=40`.

    Args:
        folder: in or below the repository.

    Returns:
        None where there is no repository or no git.
    """
    try:
        done = git(["describe", "--always", "--abbrev=40"], folder)
        if done.returncode:
            return None
        same = git(
            ["diff", "--quiet", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty", "HEAD", "--"],
            _root(folder),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = done.stdout.decode(errors="replace").strip()
    return f"{found}-dirty" if found and same.returncode == 1 else found or None


def _root(folder: str | os.PathLike[str]) -> str | os.PathLike[str]:
    done = git(["rev-parse", "--show-toplevel"], folder)
    found = os.fsdecode(done.stdout).removesuffix("\n")
    return found if done.returncode == 0 and Path(found).is_dir() else folder
