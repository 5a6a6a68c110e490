"""Where the time of a run went."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass
from time import process_time
from typing import Any, cast

from odecheck_reference.on_disk import Kept


@dataclass(frozen=True)
class Spent:
    """What units of work cost, all processes together; without those that died.

    Attributes:
        validation: CPU seconds before the claims.
        claims: CPU seconds of the claims, references included.
        references: CPU seconds of them in which the reference worked out what was not kept.
        made: How many answers of the reference were worked out.
        read: How many were read from where they are kept.
    """

    validation: float = 0.0
    claims: float = 0.0
    references: float = 0.0
    made: int = 0
    read: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def facts(self, before: object) -> dict[str, Any]:
        """What a run folder says of it.

        Args:
            before: What it said before the run was resumed; data of whoever wrote it: what is no number counts as 0.

        Returns:
            The sum, in tenths of seconds.
        """
        known = cast("dict[str, object]", before) if isinstance(before, dict) else {}
        numbers = {name: x for name in asdict(self) if isinstance(x := known.get(name), int | float)}
        total = self + Spent(**numbers)  # type: ignore[arg-type]
        return {name: round(number, 1) for name, number in asdict(total).items()}


class Clock:
    """A clock of one unit of work.

    Args:
        kept: What counts the answers of the reference.
    """

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.begun = self.valid = process_time()

    def validated(self) -> None:
        """Say that the claims come next."""
        self.valid = process_time()

    def spent(self) -> Spent:
        """What was spent up to now.

        Returns:
            The unit's share.
        """
        claims = process_time() - self.valid
        return Spent(self.valid - self.begun, claims, self.kept.seconds, self.kept.made, self.kept.read)
