"""The exceptions that callers are meant to catch. It imports nothing, so that every module may raise them."""

from __future__ import annotations


class BadInput(ValueError):
    """Input that cannot be verified: what was seen, its usual cause, and what to type.

    Args:
        seen: what was found, with its numbers.
        cause: what usually leads to it.
        fix: what to type instead.
    """

    def __init__(self, seen: str, cause: str, fix: str) -> None:
        super().__init__(seen, cause, fix)
        self.seen, self.cause, self.fix = seen, cause, fix

    def __str__(self) -> str:
        return f"{self.seen}\n  usual cause: {self.cause}\n  what to type: {self.fix}"


class NotApplicable(Exception):
    """The claim does not speak about this subject or problem: the message says why."""


class Unsupported(NotImplementedError):
    """This engine or solver cannot do what a claim asks of it: a row of its own, neither right nor wrong."""


class CurvatureError(RuntimeError):
    """No curvature can be had of what was run: what was seen, its usual cause, and what to do."""
