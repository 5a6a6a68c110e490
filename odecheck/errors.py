"""The exceptions that callers are meant to catch. It imports nothing of odecheck, so every module may raise them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class BadInput(ValueError):
    """Input that cannot be verified: what was seen, its usual cause, and what to type.

    Args:
        seen: What was found, with its numbers.
        cause: What usually leads to it.
        fix: What to type instead.
    """

    def __init__(self, seen: str, cause: str, fix: str) -> None:
        super().__init__(seen, cause, fix)
        self.seen, self.cause, self.fix = seen, cause, fix

    def __str__(self) -> str:
        return f"{self.seen}\n  usual cause: {self.cause}\n  what to type: {self.fix}"


class NoDerivativeInTime(BadInput):
    """A field whose derivative in time is not that of its values, and whose others are: some claims do without."""


class NotApplicable(Exception):
    """The claim does not speak about this subject or problem: the message says why."""


class Unsupported(NotImplementedError):
    """This engine or solver cannot do what a claim asks of it: a row of its own, neither right nor wrong."""


class CurvatureError(RuntimeError):
    """No curvature can be had of what was run: what was seen, its usual cause, and what to do."""


# what the extra tables brings, as it is imported
TABLES = ("pandas", "pyarrow.parquet")


def needed(extra: str, *modules: str) -> list[Any]:
    """Import what an extra of odecheck brings, or say what to type where it is missing.

    Asked before the work whose result needs it, so that nobody waits for a refusal.

    Args:
        extra: The extra's name in pyproject.toml.
        *modules: What of it is needed, as it is imported.

    Returns:
        The modules.

    Raises:
        BadInput: One of them is not installed.
    """
    found: list[Any] = []
    for module in modules:
        try:
            found.append(import_module(module))
        except ImportError:
            raise BadInput(
                f"the package {module.partition('.')[0]} is not installed",
                f"odecheck was installed without its extra {extra}",
                f'pip install "odecheck[{extra}]"',
            ) from None
    return found


def needs_tables() -> None:
    """Ask for the packages that tables are made with, before work whose rows are kept in tables.

    Raises:
        BadInput: One of them is not installed.
    """
    needed("tables", *TABLES)
