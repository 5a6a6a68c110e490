"""What a solver library is to `odecheck conformance`: its versions, what is asked of each, what it is known to fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from odecheck.solvers import Solver

from .base import Engine

Topic = Literal["solution", "derivatives", "use"]
EVERYTHING: tuple[Topic, ...] = ("solution", "derivatives", "use")


@dataclass(frozen=True)
class Asked:
    """One way of using a library. engine, method: the names of a row.

    topics: what is asked of it: solutions, first derivatives, and what users do with a solution beyond that (second
    derivatives, events, repeated and changed modules). The solution of an engine whose forward solve is that of another
    is not asked twice.
    brief: on one problem for each claim and not on all.
    """

    solver: Solver
    engine: Engine
    engine_name: str
    method: str
    topics: tuple[Topic, ...] = EVERYTHING
    brief: bool = False


@dataclass(frozen=True)
class Known:
    """Rows that are known to fail, and why. Strict: a row of them that holds fails the run.

    claims: ids. versions, engines, methods, problems: patterns as of file names, of each of which one has to match.
    """

    why: str
    claims: tuple[str, ...]
    engines: tuple[str, ...] = ("*",)
    methods: tuple[str, ...] = ("*",)
    versions: tuple[str, ...] = ("*",)
    problems: tuple[str, ...] = ("*",)

    def of(self, release: str, asked: Asked, claim: str, problem: str) -> bool:
        return claim in self.claims and all(
            any(fnmatchcase(name, pattern) for pattern in patterns)
            for name, patterns in (
                (release, self.versions),
                (asked.engine_name, self.engines),
                (asked.method, self.methods),
                (problem, self.problems),
            )
        )


@dataclass(frozen=True, eq=False)
class Library:
    """A solver library.

    package: its name where it is installed from. tested: the versions whose known failures are declared, oldest first.
    asks: version and folder of releases → the ways of using it. install: what to type where it is missing.
    side_by_side: whether any tested release can be run beside the one that is installed.
    """

    name: str
    package: str
    tested: tuple[str, ...]
    asks: Callable[[str, str], Sequence[Asked]]
    known: tuple[Known, ...] = ()
    install: str = ""
    side_by_side: bool = False
    needs: tuple[str, ...] = ()

    @property
    def installed(self) -> str:
        """The version that is installed, or nothing."""
        try:
            return [version(name) for name in (*self.needs, self.package)][-1]
        except PackageNotFoundError:
            return ""

    @property
    def how_to_install(self) -> str:
        return self.install or f"pip install {self.package}=={self.tested[-1]}"


# what several libraries share, in words
REPLAYED = (
    "the adjoint evaluates the field again in backward(), with the attributes, buffers and parameter values that it "
    "has by then; nothing notices that they are others than in the solve"
)
DATA = (
    "autograd itself looks a saved leaf up again and does not count an assignment to its `data` as a change: the "
    "gradient is that of the new values"
)
UNSEEN = (
    "the step control sees a solution that does not move and chooses steps that are far too long for its sensitivity; "
    "the derivative of those steps is exact and is not that of the flow"
)
AT_REST = ("pendulum at rest",)
ALL_ZERO = "the backward pass is no part of the graph: its derivative comes back as zero, without a word"


def named(*known: Known) -> tuple[Known, ...]:
    """Known failures as data. Raises ValueError for one without a reason."""
    for item in known:
        if not item.why.strip():
            raise ValueError(f"a known failure of {', '.join(item.claims)} has no reason")
    return known
