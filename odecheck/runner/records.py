"""What `odecheck.check` gives: a list of records that says what came out, in a terminal, in a notebook, as a frame."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from odecheck.claims.find import by_id
from odecheck.record import Record
from odecheck.records.outcomes import outcome
from odecheck.records.reading import frame
from odecheck.records.summary import details, headline, table

if TYPE_CHECKING:
    from odecheck.claim import Claim

# characters of a line in a notebook
NOTEBOOK = 110


class Records(list[Record]):
    """The records of a run: a list, in the order of the cases, that is shown as a verdict and a table.

    Args:
        records: All of them.
        claims: What was asked, for titles of claims that odecheck does not ship.
    """

    def __init__(self, records: Iterable[Record] = (), claims: Iterable[Claim] = ()) -> None:
        super().__init__(records)
        self._claims = tuple(claims)

    @property
    def ok(self) -> bool:
        """Whether every record is as expected; one that is inconclusive is not."""
        return all(record.ok for record in self)

    @property
    def failed(self) -> Records:
        """Those that are refuted, an error, or known to fail and hold."""
        return self._those("failed")

    @property
    def inconclusive(self) -> Records:
        """Those that are not decided and were expected to be; each says what would decide it."""
        return self._those("inconclusive")

    def _those(self, what: str) -> Records:
        return Records((record for record in self if outcome(record) == what), self._claims)

    def to_frame(self) -> Any:
        """The records as a pandas DataFrame.

        Returns:
            A row for each record, a column for each of its attributes.

        Raises:
            BadInput: the extra tables is not installed.
        """
        return frame(self)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Records: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Record | Records:
        found = super().__getitem__(index)
        return Records(found, self._claims) if isinstance(found, list) else found

    def __reduce__(self) -> tuple[type[Records], tuple[list[Record]]]:
        return Records, (list(self),)  # claims of one's own may not be there in another process

    def __repr__(self) -> str:
        found = headline(self)
        return f"<{len(self)} records, {found.word}: {found.text}>"

    def __str__(self) -> str:
        return self._drawn(120).export_text().rstrip()

    def __rich__(self) -> Any:
        return _AsWideAs(self)

    def _repr_html_(self) -> str:
        page = '<pre style="white-space:pre;overflow-x:auto;line-height:normal">{code}</pre>'
        return self._drawn(NOTEBOOK).export_html(inline_styles=True, code_format=page)

    def shown(self, width: int) -> Any:
        """The verdict, the table, and what has to be read.

        Args:
            width: Characters of a line.

        Returns:
            What a console of rich prints.
        """
        from rich.console import Group
        from rich.text import Text

        found, claims = headline(self), self._titles()
        line = Text.assemble((found.word, found.style), f": {found.text}.")
        parts = table(self, claims, width=width)
        told = [Text(text) for text in details(self)]
        return Group(line, *([Text(), parts] if parts else []), *([Text(), *told] if told else []))

    def _titles(self) -> Mapping[str, Claim]:
        return {**by_id(), **{claim.id: claim for claim in self._claims}}

    def _drawn(self, width: int) -> Any:
        from rich.console import Console

        console = Console(width=width, record=True, file=io.StringIO(), force_jupyter=False, legacy_windows=False)
        console.print(self.shown(width))
        return console


class _AsWideAs:
    """Records as wide as the console that prints them."""

    def __init__(self, records: Records) -> None:
        self.records = records

    def __rich_console__(self, console: Any, options: Any) -> Any:
        yield self.records.shown(options.max_width)
