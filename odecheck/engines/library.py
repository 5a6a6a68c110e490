"""What a solver library is, declared once: its engines, its versions, what is asked of it, how a script calls it.

`odecheck conformance`, `cost` and `reproduce` read this declaration and nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from odecheck.errors import BadInput
from odecheck.solvers import Adaptive, Solver

from .base import Engine
from .script_call import ScriptCall

Topic = Literal["solution", "derivatives", "use"]
EVERYTHING: tuple[Topic, ...] = ("solution", "derivatives", "use")


@dataclass(frozen=True)
class Asked:
    """One way of using a library.

    Attributes:
        solver: the method and its tolerance or steps.
        engine: what solves and differentiates.
        engine_name: what rows call the engine.
        method: what rows call the method.
        topics: what is asked of it: solutions, first derivatives, and what users do with a solution beyond that (second
            derivatives, events, repeated and changed modules). The solution of an engine whose forward solve is that
            of another is not asked twice.
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

    Of the patterns, which are those of file names, one of each kind has to match.

    Attributes:
        why: the reason, in a sentence that a report prints.
        claims: ids of the claims.
        engines: patterns of `Asked.engine_name`.
        methods: patterns of `Asked.method`.
        versions: patterns of the library's version.
        problems: patterns of the problem's name.
    """

    why: str
    claims: tuple[str, ...]
    engines: tuple[str, ...] = ("*",)
    methods: tuple[str, ...] = ("*",)
    versions: tuple[str, ...] = ("*",)
    problems: tuple[str, ...] = ("*",)

    def is_of(self, release: str) -> bool:
        """Whether rows of this version are among them.

        Args:
            release: the library's version.
        """
        return any(fnmatchcase(release, pattern) for pattern in self.versions)

    def of(self, release: str, asked: Asked, claim: str, problem: str) -> bool:
        """Whether a row is one of them.

        Args:
            release: the library's version.
            asked: the way of using it.
            claim: the claim's id.
            problem: the problem's name.

        Returns:
            True where the claim is named and every kind of pattern matches.
        """
        return claim in self.claims and all(
            any(fnmatchcase(name, pattern) for pattern in patterns)
            for name, patterns in (
                (release, self.versions),
                (asked.engine_name, self.engines),
                (asked.method, self.methods),
                (problem, self.problems),
            )
        )


@dataclass(frozen=True)
class Declared:
    """An engine of a library.

    Attributes:
        engine: the engine itself.
        settings: the adaptive methods with which `odecheck cost` measures it, of order five and eight where the library
            has both; none where it differs in nothing that is measured from another engine, or is known to be wrong.
    """

    engine: Engine
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Library:
    """A solver library, as its file in `odecheck/engines` declares it, or a package of somebody else.

    Args:
        name: what it is called on the command line and in every table.
        package: its name where it is installed from.
        tested: the versions whose known failures are declared, oldest first.
        asks: version and folder of releases → the ways of using it that `odecheck conformance` asks about.
        known: what it is known to fail.
        install: what to type where it is missing; by default pip with the newest tested version.
        side_by_side: whether any tested release can be run beside the one that is installed.
        needs: other packages without which it is not installed.
        engines: all its engines. One in its file that is missing here is refused.
        adaptive: the class of its adaptive solvers.
        usual: the adaptive method that every engine has.
        lands: whether its steps can be made to end on the outputs.
        any_steps: whether its fixed-step methods take the times asked for as their steps.
        script_call: how a script calls it; without one `odecheck reproduce` has no script.
        order: where it stands in the report of conformance, the smallest first.

    Raises:
        BadInput: no tested version; two engines of one name; a method that its adaptive solvers do not have.
    """

    name: str
    package: str
    tested: tuple[str, ...]
    asks: Callable[[str, str], Sequence[Asked]]
    known: tuple[Known, ...] = ()
    install: str = ""
    side_by_side: bool = False
    needs: tuple[str, ...] = ()
    engines: tuple[Declared, ...] = ()
    adaptive: type[Adaptive] = Adaptive
    usual: str = "dopri5"
    lands: bool = False
    any_steps: bool = False
    script_call: ScriptCall | None = None
    order: int = 1000

    def __post_init__(self) -> None:
        if not self.tested:
            raise BadInput(
                f"library {self.name!r} was tested with no version",
                "tested=() in its declaration",
                'tested=("VERSION",), the one that you run',
            )
        names = [one.engine.name for one in self.engines]
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            raise BadInput(
                f"library {self.name!r} declares the engine {twice[0]!r} twice",
                "a line that was copied, or two engines that share a name",
                "a name of its own for each engine",
            )
        for whose, methods in (
            ("every engine", (self.usual,)),
            *((repr(one.engine.name), one.settings) for one in self.engines),
        ):
            for method in methods:
                if method not in self.adaptive.METHODS:
                    raise BadInput(
                        f"library {self.name!r} names the method {method!r} for {whose}, which "
                        f"{self.adaptive.__name__} does not have",
                        "a misspelt method, or adaptive= names another class",
                        f"one of {', '.join(self.adaptive.METHODS)}",
                    )

    @property
    def installed(self) -> str:
        """The version that is installed; an empty text where it, or a package of `needs`, is missing.

        A module that was imported from a folder, which nobody installed, says its version itself.
        """
        try:
            return [version(name) for name in (*self.needs, self.package)][-1]
        except PackageNotFoundError:
            stated: object = getattr(sys.modules.get(self.package), "__version__", "")
            return stated if isinstance(stated, str) and not self.needs else ""

    @property
    def how_to_install(self) -> str:
        """What to type where it is missing."""
        return self.install or f"pip install {self.package}=={self.tested[-1]}"


def named(*known: Known) -> tuple[Known, ...]:
    """Known failures as data.

    Args:
        known: the failures.

    Returns:
        The same.

    Raises:
        ValueError: one of them has no reason.
    """
    for item in known:
        if not item.why.strip():
            raise ValueError(f"a known failure of {', '.join(item.claims)} has no reason")
    return known
