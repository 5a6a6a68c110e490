"""A benchmark suite: asv's configuration, the repository it belongs to, and the commits of that."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from odecheck.errors import BadInput
from odecheck.foreign import first_line, literal
from odecheck.foreign import words as words_of
from odecheck.records.commit import git as ask_git
from odecheck.records.journal import parsed, regular

CHANGED = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
# of a configuration → where it is when that says nothing
FOLDERS = {"repo": "..", "benchmark_dir": "benchmarks", "results_dir": "results"}
# where a repository may keep its packages
SOURCES = (".", "src", "reference")


@dataclass(frozen=True)
class Suite:
    """A suite of asv.

    Attributes:
        config: its asv.conf.json.
        repo: the folder of the repository that is benchmarked.
        benchmarks: the folder of the benchmarks.
        results: the folder of the results.
    """

    config: Path
    repo: Path
    benchmarks: Path
    results: Path

    @classmethod
    def load(cls, config: str | Path) -> Suite:
        """Read a configuration.

        Args:
            config: the path of an asv.conf.json.

        Returns:
            The suite, with whole paths.

        Raises:
            BadInput: there is no configuration, or one that asv cannot read either.
        """
        path = Path(config).absolute()
        try:
            # asv allows comments in it
            text = regular(path).read_text(encoding="utf-8")
            found = parsed(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
            known = cast("dict[str, object]", found) if isinstance(found, dict) else {"repo": None}
            named = {name: known.get(name, default) for name, default in FOLDERS.items()}
            repo, benchmarks, results = (_name(one) for one in named.values())
        except (OSError, ValueError, RuntimeError) as error:
            raise BadInput(
                f"{config} cannot be read: {first_line(error)}",
                "another folder",
                "--config with the path of an asv.conf.json",
            ) from error
        folder = path.parent
        return cls(path, *(Path(os.path.realpath(folder / name)) for name in (repo, benchmarks, results)))

    def git(self, *words: str) -> str:
        """What git answers in the repository.

        Args:
            *words: of the command.

        Returns:
            Its output.

        Raises:
            BadInput: git refuses, in its own words, or is not there.
        """
        return self._git(words).decode(errors="replace")

    def _git(self, words: Sequence[str]) -> bytes:
        try:
            done = ask_git(words, self.repo)
        except FileNotFoundError as missing:
            raise BadInput("there is no git here", "it is not installed", "git --version") from missing
        except subprocess.TimeoutExpired as late:
            raise BadInput(words_of(late), "a huge repository, or a disk that does not answer", "git status") from late
        if done.returncode == 0:
            return done.stdout
        said = words_of(done.stderr.decode(errors="replace")).strip() or f"git {' '.join(words)} failed"
        if "not a git repository" in said:
            raise BadInput(
                f"{self.repo}, which {self.config.name} names as its repository, is no git repository",
                "an unpacked archive, or another folder in `repo`",
                f"git clone …, then odecheck bench in {self.repo}",
            )
        raise BadInput(
            f"{said} (git {' '.join(words)})",
            "a commit or a range that this repository does not have",
            "git log --oneline",
        )

    def uncommitted(self) -> list[str]:
        """Files of the repository that differ from the last commit: what of them belongs to no commit is not run."""
        return [line[3:] for line in self.git(*CHANGED).splitlines()]

    def commits(self, span: str, at_most: int | None = None) -> list[str]:
        """The commits of a range.

        Args:
            span: A..B, or one commit.
            at_most: so many of them, evenly spaced, both ends among them.

        Returns:
            Hashes, A's among them; oldest first, along first parents.

        Raises:
            BadInput: a commit that is not there.
        """
        if ".." not in span:
            return [self.git("rev-parse", "--verify", f"{span}^{{commit}}").strip()]
        first, last = re.split(r"\.{2,3}", span, maxsplit=1)
        begin = self.git("rev-parse", "--verify", f"{first}^{{commit}}").strip()
        later = self.git("rev-list", "--first-parent", "--reverse", f"{begin}..{last or 'HEAD'}").split()
        every = [begin, *later]
        return every if at_most is None or len(every) <= at_most else _spaced(every, at_most)

    def subject(self, commit: str) -> str:
        """The first line of a commit's message."""
        return self.git("show", "-s", "--no-show-signature", "--format=%s", commit).strip()

    @contextmanager
    def checkout(self, commit: str) -> Generator[Path]:
        """The files of a commit in a folder of their own, that is gone afterwards."""
        packed = self._git(["archive", commit])
        with tempfile.TemporaryDirectory(prefix=f"bench-{commit[:8]}-") as folder:
            with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                archive.extractall(folder, filter="data")
            yield Path(folder)


def _name(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"it is no configuration of asv: {literal(value, 60)} is no folder")
    return value


def _spaced(every: Sequence[str], count: int) -> list[str]:
    last = len(every) - 1
    places = {round(i * last / max(1, count - 1)) for i in range(count)}
    return [every[i] for i in sorted(places)]


def source_folders(checkout: Path) -> list[str]:
    """The folders of a checkout that its packages are imported from."""
    return [str(checkout / name) for name in SOURCES if (checkout / name).is_dir()]
