"""The ledger: a row for each claim of the papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from odecheck.report.schemas import JsonFile

if TYPE_CHECKING:
    from odecheck.ledger.build import Row


class Ledger(JsonFile):
    """`odecheck.ledger.build.Row`s."""

    def parsed(self, text: str) -> list[Row]:
        from odecheck.ledger.build import from_json

        return from_json(text)

    def joined(self, contents: Sequence[Any]) -> list[Row]:
        return [row for rows in contents for row in rows]


KIND = Ledger("ledger")
