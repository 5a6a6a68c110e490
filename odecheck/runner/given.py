"""What is handed to `odecheck.check`, refused at the door where it is something else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from odecheck_reference import Problem

from odecheck.errors import BadInput
from odecheck.foreign import literal
from odecheck.subject import Subject

# what is wanted, the usual cause, and what to type
SUBJECTS = (
    "a Subject, or a (Subject, Problem)",
    "a field, or the name of a file, in place of a subject; or an empty list",
    "odecheck.check(odecheck.module_pairs(field, y0)) for a field, odecheck.check(odecheck.pairs(['file.py:name'])) "
    "for what stands in a file, Subject(field, Adaptive('dopri5', rtol=1e-7), Adjoint()) for one that has problems",
)
PROBLEMS = (
    "a Problem",
    "a subject or a name in place of a problem; or a list that a filter left empty",
    "odecheck.check(subjects, odecheck.problems()), or Problem(name, field, y0, theta, ts, loss)",
)


def listed(given: Any, kind: type, words: tuple[str, str, str]) -> tuple[Any, ...]:
    """One, or what is in a collection of them.

    Args:
        given: One of the kind, or an iterable of them; of subjects also of (subject, problem).
        kind: Subject or Problem.
        words: What is wanted, the usual cause of something else, and what to type.

    Returns:
        All of them, at least one.

    Raises:
        BadInput: Something else, or none.
    """
    wanted, cause, fix = words
    one = isinstance(given, (kind, str | bytes)) or not isinstance(given, Iterable)
    found = tuple(cast(Iterable[Any], (given,) if one else given))
    for item in found:
        if not _fits(item, kind):
            raise BadInput(f"{_short(item)} is not {wanted}", cause, fix)
    if not found:
        raise BadInput(f"there is not {wanted} among what is to be judged", cause, fix)
    return found


def _fits(item: Any, kind: type) -> bool:
    """Of a subject, whether its solver and its engine are no names either."""
    if isinstance(item, tuple) and kind is Subject:
        parts = cast(tuple[Any, ...], item)
        return len(parts) == 2 and _fits(parts[0], Subject) and isinstance(parts[1], Problem)
    named = isinstance(item, Subject) and any(isinstance(cast(object, x), str) for x in (item.solver, item.engine))
    return isinstance(item, kind) and not named


def _short(value: object) -> str:
    return literal(f"{type(value).__name__} {value!r}", 80)
