"""Benchmarks of one's own solves, by a target as `odecheck verify` takes it, and the small suite that asks them.

asv runs a suite at old commits as well: the target is found in the checkout of the commit, and what a commit does not
have yet is skipped.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odecheck.errors import BadInput, Unsupported
from odecheck.foreign import literal
from odecheck.records.commit import git

if TYPE_CHECKING:
    from odecheck.runner.targets import Pair

TOLERANCES = (1e-3, 1e-6)
IGNORED = ".asv/\n"


class Solves:
    """Solves and gradients of a target: their evaluations, how far off they are, and their CPU time.

    A suite has a class of its own of this kind, with the target, and the engines and tolerances that are asked as
    `params`. Evaluations are exact and errors deterministic, so that they decide; times advise.

    Attributes:
        target: "package.module:name", or "path/to/file.py:name" from the repository's folder.
        params: names of engines; relative tolerances, or None for each subject as it is.
        param_names: of the two.
    """

    target = ""
    params: tuple[Sequence[str], Sequence[float | None]] = ((), ())
    param_names = ("engine", "rtol")
    timer = staticmethod(time.process_time)
    rounds, repeat, sample_time, warmup_time, number = 1, 2, 0.0, 0.0, 1
    timeout = 120

    def setup(self, engine: str, rtol: float | None) -> None:
        """Find the subjects.

        Args:
            engine: name of an engine.
            rtol: relative tolerance; None for the subjects' own.

        Raises:
            NotImplementedError: this commit has no such target: asv calls that skipped.
        """
        try:
            self.cases = [case for case in _pairs(self.target, rtol) if case[0].engine.name == engine]
        except BadInput as missing:
            raise NotImplementedError(str(missing)) from missing
        if not self.cases:
            raise NotImplementedError(f"no subject of {self.target} has the engine {engine}")

    def track_nfe_solution(self, engine: str, rtol: float | None) -> float:
        """Evaluations of the field for the solutions."""
        return float(sum(_counted(s.solution, p) for s, p in self.cases))

    def track_nfe_gradient(self, engine: str, rtol: float | None) -> float:
        """Evaluations of the field for solutions and gradients."""
        return float(sum(_counted(s.gradient, p) for s, p in self.cases))

    def track_error_solution(self, engine: str, rtol: float | None) -> float:
        """The largest error of a solution, relative to its largest component."""
        from odecheck_reference import solution

        return max(_relative(s.solution(p), solution(p).value) for s, p in self.cases)

    def track_error_gradient(self, engine: str, rtol: float | None) -> float:
        """The largest error of dL/dy0 and dL/dtheta, each relative to its largest component."""
        from odecheck_reference import gradient

        worst = 0.0
        for subject, problem in self.cases:
            try:
                got = subject.gradient(problem)
            except Unsupported as none:
                raise NotImplementedError(str(none)) from none
            truth = gradient(problem)
            worst = max(worst, _relative(got.y0, truth.y0.value), _relative(got.theta, truth.theta.value))
        return worst

    def time_gradient(self, engine: str, rtol: float | None) -> None:
        """CPU time of solutions and gradients."""
        for subject, problem in self.cases:
            subject.gradient(problem)

    track_nfe_solution.unit = track_nfe_gradient.unit = "count"  # type: ignore[attr-defined]
    track_error_solution.unit = track_error_gradient.unit = "relative error"  # type: ignore[attr-defined]


def _counted(ask: Any, problem: Any) -> int:
    from odecheck.instruments.metering import metered

    with metered() as cost:
        try:
            ask(problem)
        except Unsupported as none:
            raise NotImplementedError(str(none)) from none
    return cost.nfe


def _relative(got: Any, truth: Any) -> float:
    import numpy as np

    size = float(np.max(np.abs(truth), initial=0.0)) or 1.0
    return float(np.max(np.abs(got - truth), initial=0.0)) / size


def _pairs(target: str, rtol: float | None) -> list[Pair]:
    from odecheck.runner.targets import pairs

    return pairs([_of_this_commit(target)], rtol=rtol)


def _of_this_commit(target: str) -> str:
    """A file's target with the whole path in the checkout that asv has on the path of modules."""
    file, _, name = target.rpartition(":")
    for folder in os.environ.get("ASV_PYTHONPATH", "").split(os.pathsep):
        if file.endswith(".py") and folder and (Path(folder) / file).is_file():
            return f"{Path(folder) / file}:{name}"
    return target


@dataclass(frozen=True)
class Written:
    """A suite that was written.

    Attributes:
        files: of it.
        engines: that it asks.
        tolerances: that it asks them at; None for the subjects' own.
    """

    files: tuple[Path, ...]
    engines: tuple[str, ...]
    tolerances: tuple[float | None, ...]


def write_suite(target: str, config: Path) -> Written:
    """Write a small suite of one's own: asv.conf.json, and a file of benchmarks.

    Args:
        target: as `odecheck verify` takes it, from the present folder.
        config: where asv.conf.json is to be; the repository that it is in is benchmarked.

    Returns:
        What was written.

    Raises:
        BadInput: there is a suite already, no repository, or the target is none.
    """
    folder = config.parent
    if os.path.lexists(config) or (folder / "benchmarks").exists():
        raise BadInput(
            f"{folder} already holds a suite of benchmarks",
            "the same command twice",
            f"odecheck bench HEAD --config {config}, or --config with another folder",
        )
    repo = _repository(folder)
    file, colon, name = target.rpartition(":")
    if not colon:
        fix = "odecheck bench init my_model.py:net"
        raise BadInput(f"{literal(target)} is no target", "no name behind a colon", fix)
    if file.endswith(".py"):
        target = f"{_inside(Path(file), repo)}:{name}"
        found, tolerances = _engines(f"{repo / target.rpartition(':')[0]}:{name}")
    else:
        found, tolerances = _engines(target)
    about = {
        "version": 1,
        "project": repo.name,
        "repo": os.path.relpath(repo, folder),
        "branches": ["HEAD"],
        "benchmark_dir": "benchmarks",
        "results_dir": ".asv/results",
        "html_dir": ".asv/html",
        "env_dir": ".asv/env",
        "environment_type": "virtualenv",
    }
    text = {
        config: json.dumps(about, indent=4) + "\n",
        folder / ".gitignore": IGNORED,
        folder / "benchmarks" / "__init__.py": "",
        folder / "benchmarks" / "solves.py": _benchmark(target, found, tolerances),
    }
    (folder / "benchmarks").mkdir(parents=True)
    for path, content in text.items():
        path.write_text(content, encoding="utf-8")
    return Written(tuple(text), found, tolerances)


def _benchmark(target: str, engines: Sequence[str], tolerances: Sequence[float | None]) -> str:
    return f'''"""What solves of {target} need, and how far off they are, at every commit."""

from odecheck.bench.solves import Solves


class Own(Solves):
    target = {target!r}
    params = ({list(engines)!r}, {list(tolerances)!r})
'''


def _engines(target: str) -> tuple[tuple[str, ...], tuple[float | None, ...]]:
    """The engines of a target's subjects, and the tolerances that all of them can be asked at."""
    as_they_are = tuple(dict.fromkeys(subject.engine.name for subject, _ in _pairs(target, None)))
    try:
        at_tolerance = tuple(dict.fromkeys(subject.engine.name for subject, _ in _pairs(target, TOLERANCES[0])))
    except BadInput:  # only fixed steps
        return as_they_are, (None,)
    return (as_they_are, TOLERANCES) if at_tolerance == as_they_are else (as_they_are, (None,))


def _repository(folder: Path) -> Path:
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    said = git(["rev-parse", "--show-toplevel"], there)
    if said.returncode:
        raise BadInput(
            f"{there} is in no git repository",
            "benchmarks are of commits",
            "git init, and a commit of what is benchmarked",
        )
    return Path(said.stdout.decode().strip())


def _inside(file: Path, repo: Path) -> str:
    try:
        return file.resolve().relative_to(repo.resolve()).as_posix()
    except ValueError as outside:
        raise BadInput(
            f"{file} is not in the repository {repo}", "a file that no commit has", "a target of this repository"
        ) from outside
