"""A benchmark suite: asv's configuration, the repository it belongs to, and the commits of that."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from odecheck.errors import BadInput

# where a repository may keep its packages
SOURCES = (".", "src", "reference")


@dataclass(frozen=True)
class Suite:
    """config: asv.conf.json; repo, benchmarks, results: the folders that it names."""

    config: Path
    repo: Path
    benchmarks: Path
    results: Path

    @classmethod
    def load(cls, config: str | Path) -> Suite:
        """Raises BadInput where there is no configuration, or one that asv cannot read either."""
        path = Path(config).resolve()
        try:
            # asv allows comments in it
            found = json.loads(re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.MULTILINE))
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{config} cannot be read: {error}", "another folder", "--config with the path of an asv.conf.json"
            ) from error
        folder = path.parent
        return cls(
            path,
            (folder / found.get("repo", "..")).resolve(),
            (folder / found.get("benchmark_dir", "benchmarks")).resolve(),
            (folder / found.get("results_dir", "results")).resolve(),
        )

    def git(self, *words: str) -> str:
        """What git answers. Raises BadInput with git's own words when it refuses."""
        return self._git(words).decode()

    def _git(self, words: Sequence[str]) -> bytes:
        try:
            done = subprocess.run(["git", "-C", str(self.repo), *words], capture_output=True, check=False)
        except FileNotFoundError as missing:
            raise BadInput("there is no git here", "it is not installed", "git --version") from missing
        if done.returncode == 0:
            return done.stdout
        said = done.stderr.decode().strip() or f"git {' '.join(words)} failed"
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
        return [line[3:] for line in self.git("status", "--porcelain", "--untracked-files=no").splitlines()]

    def commits(self, span: str, at_most: int | None = None) -> list[str]:
        """Hashes of a range A..B, A included, or of one commit; oldest first, along first parents.

        at_most: so many of them, evenly spaced, both ends among them.
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
        return self.git("show", "-s", "--format=%s", commit).strip()

    @contextmanager
    def checkout(self, commit: str) -> Generator[Path]:
        """The files of a commit in a folder of their own, that is gone afterwards."""
        packed = self._git(["archive", commit])
        with tempfile.TemporaryDirectory(prefix=f"bench-{commit[:8]}-") as folder:
            with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                archive.extractall(folder, filter="data")
            yield Path(folder)


def _spaced(every: Sequence[str], count: int) -> list[str]:
    last = len(every) - 1
    places = {round(i * last / max(1, count - 1)) for i in range(count)}
    return [every[i] for i in sorted(places)]


def source_folders(checkout: Path) -> list[str]:
    """The folders of a checkout that its packages are imported from."""
    return [str(checkout / name) for name in SOURCES if (checkout / name).is_dir()]
