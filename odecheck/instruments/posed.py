"""What a problem asks of a solver: two problems that ask the same are one, whatever they are called."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from odecheck_reference import Problem
from odecheck_reference.on_disk import digest_of


@dataclass(frozen=True, eq=False)
class _Itself:
    """Something that is made of more than numbers: the same as itself alone."""

    thing: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other.thing is self.thing

    def __hash__(self) -> int:
        return id(self.thing)


@dataclass(frozen=True, eq=False)
class Posed:
    """A problem as far as a subject sees it, to be a key of what is kept.

    Two are equal whose numbers are, and whose fields (and losses, where these are asked about) are made of the same
    numbers; those of somebody else's classes have to be the same objects.

    Args:
        problem: Any.
        losses: Whether its loss and its integral term are asked about, and not its solution alone.
    """

    problem: Problem
    losses: bool

    @cached_property
    def _key(self) -> tuple[object, ...]:
        p = self.problem
        parts: tuple[object, ...] = (p.field, p.theta, p.y0, p.ts, *((p.loss, p.running) if self.losses else ()))
        return tuple(_Itself(part) if (digest := digest_of(part)) is None else digest for part in parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Posed) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)
