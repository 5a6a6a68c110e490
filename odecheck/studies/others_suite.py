"""The test suite of torchdiffeq, run with `odecheck.odeint` in the place of `torchdiffeq.odeint_adjoint`.

None of their code is here: the suite is read from a checkout of theirs, at the release that is installed.

    git clone https://github.com/rtqichen/torchdiffeq && git -C torchdiffeq checkout a88aac5    # release 0.2.5
    python -m odecheck.studies.others_suite torchdiffeq/tests

A part is a subtest, or a test that has none. Each is run with their function, then with ours. A part that theirs passes
and ours does not is printed with the first line of its error. A parameter that the field never reads
has a gradient of zeros there (`unused="zeros"`). What reads attributes of torchdiffeq's own autograd node
(`grad_fn.adjoint_options`) is a question about their code, and is counted by itself.
"""

from __future__ import annotations

import argparse
import sys
import unittest
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torchdiffeq  # pyright: ignore[reportMissingTypeStubs]

from odecheck.ode import odeint  # pyright: ignore[reportUnknownVariableType]

INTERNAL = ("adjoint_options", "next_functions")  # of torchdiffeq's autograd node: who reads it asks about their code


@dataclass
class Parts:
    """How the parts of a suite ended.

    Attributes:
        passed: names of those that passed, once for each time that they ran.
        internal: names of those that read what is torchdiffeq's own.
        failed: (name, first line of the error) of the others.
    """

    passed: list[str] = field(default_factory=list[str])
    internal: list[str] = field(default_factory=list[str])
    failed: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @property
    def counted(self) -> int:
        """How many parts there are, without those that ask about internals."""
        return len(self.passed) + len(self.failed)


class _Tally(unittest.TestResult):
    """Sorts every subtest, and every test without any, by how it ended."""

    def __init__(self, parts: Parts):
        super().__init__()
        self.parts, self._with_subtests = parts, set[str]()

    def _end(self, test: Any, error: Any) -> None:
        if error is None:
            self.parts.passed.append(str(test))
        elif isinstance(error[1], AttributeError) and any(name in str(error[1]) for name in INTERNAL):
            self.parts.internal.append(str(test))
        else:
            line = (str(error[1]).splitlines() or [""])[0]
            self.parts.failed.append((str(test), f"{error[0].__name__}: {line}"))

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        self._with_subtests.add(str(test))
        self._end(subtest, err)

    def addSuccess(self, test: Any) -> None:
        if str(test) not in self._with_subtests:
            self._end(test, None)

    def addError(self, test: Any, err: Any) -> None:
        self._end(test, err)

    def addFailure(self, test: Any, err: Any) -> None:
        self._end(test, err)


@contextmanager
def _in_place(function: Callable[..., Any]) -> Generator[None]:
    """While active, `torchdiffeq.odeint_adjoint` is another function."""
    before = vars(torchdiffeq)["odeint_adjoint"]
    setattr(torchdiffeq, "odeint_adjoint", function)  # noqa: B010 (torchdiffeq has no types)
    try:
        yield
    finally:
        setattr(torchdiffeq, "odeint_adjoint", before)  # noqa: B010


def run(folder: Path, function: Callable[..., Any], pattern: str = "*_tests.py") -> Parts:
    """Run the suite in a folder with a function in the place of `torchdiffeq.odeint_adjoint`.

    Args:
        folder: `tests` of a checkout of torchdiffeq.
        function: what takes the place.
        pattern: which files.

    Raises:
        FileNotFoundError: there are no such files.
    """
    if not sorted(folder.glob(pattern)):
        raise FileNotFoundError(f"{folder} has no {pattern}: give the folder `tests` of a checkout of torchdiffeq")
    parts = Parts()
    with _in_place(function), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unittest.TestLoader().discover(str(folder), pattern).run(_Tally(parts))
    return parts


def main(arguments: list[str] | None = None) -> int:
    """Print the counts; 1 where a part that theirs passes is failed by ours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", type=Path, help="the folder `tests` of a checkout of torchdiffeq")
    parser.add_argument("--files", default="*_tests.py", help="which of its files, %(default)s by default")
    given = parser.parse_args(arguments)
    theirs = run(given.tests, vars(torchdiffeq)["odeint_adjoint"], given.files)
    ours = run(given.tests, partial(odeint, unused="zeros"), given.files)
    excused = {name for name, _ in theirs.failed}
    missing = [(name, why) for name, why in ours.failed if name not in excused]
    for name, why in missing:
        print(f"failed  {name}\n        {why}")
    print(f"torchdiffeq.odeint_adjoint       passed {len(theirs.passed)} of {theirs.counted}")
    print(f"odecheck.odeint, unused='zeros'  passed {len(ours.passed)} of {ours.counted}", end="")
    print(f", {len(ours.internal)} more read what is torchdiffeq's own")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
