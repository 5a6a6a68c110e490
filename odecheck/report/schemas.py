"""What a kind of table is: how a folder holds it, how it is read, and how the tables of several folders are joined.

Each file of `tables/` has one, `KIND`: most are parquet files with columns of text and of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from odecheck.records.journal import parsed, regular
from odecheck.records.table import Read, read_table

from .text import tidy

MOST_ROWS = 50_000
STEPS = ("accepted_forward", "rejected_forward", "accepted_backward", "rejected_backward")


@dataclass(frozen=True)
class Piece:
    """What was read of one place.

    Args:
        content: what `Kind.joined` takes; None where nothing can be shown.
        run: the name under which the report speaks of it.
        facts: how it was made; None where nobody wrote that down.
        damaged: what could not be read, in words.
    """

    content: Any
    run: str
    facts: Mapping[str, Any] | None = None
    damaged: Sequence[str] = ()


class Kind:
    """One kind of table.

    Attributes:
        name: under which sections find it in `Found.tables`.
        held: how a folder holds it, in words for a message.
        again: whether a folder that is given twice counts twice.
    """

    name: str
    held: str
    again: bool = False

    def places(self, folder: Path) -> list[Path]:
        """What a folder holds of this kind: files, or the folder itself."""
        raise NotImplementedError

    def read(self, place: Path, run: str) -> Piece:
        """The content of one place; damage is said and never raised.

        Args:
            place: one of `places`.
            run: the folder's name in this report.
        """
        raise NotImplementedError

    def joined(self, contents: Sequence[Any]) -> Any:
        """The contents of all places as one: what sections are given."""
        raise NotImplementedError


@dataclass(frozen=True)
class Parquet(Kind):
    """Rows of NAME.parquet, or of any parquet file of a folder called NAME.

    Args:
        name: of the table.
        text: columns of words.
        numbers: columns of numbers.
        needed: columns without which the table says nothing; others may be absent, and come out empty.
        later: columns that tables of earlier versions have not, of which nothing is said.
    """

    name: str
    text: tuple[str, ...]
    numbers: tuple[str, ...]
    needed: tuple[str, ...]
    later: tuple[str, ...] = ()
    held: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "held", f"{self.name}.parquet")

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns: those of text, then those of numbers."""
        return (*self.text, *self.numbers)

    def places(self, folder: Path) -> list[Path]:
        kept = sorted(folder.glob("*.parquet")) if folder.name == self.name else []
        return list(dict.fromkeys(path for path in (folder / self.held, *kept) if path.exists()))

    def read(self, place: Path, run: str) -> Piece:
        table, problems = self.table(place)
        damaged = [f"{run}, {place.name}: {problem}" for problem in problems]
        if table is None:
            return Piece(None, run, damaged=damaged)
        own = run if place.stem == self.name else place.stem
        table.insert(0, "run", own)
        return Piece(table, own, _facts(place), damaged)

    def joined(self, contents: Sequence[Any]) -> Any:
        pd: Any = import_module("pandas")
        return pd.concat(list(contents), ignore_index=True)

    def raw(self, path: Path) -> Read:
        """The rows of one place, as they are."""
        return read_table(path)

    def table(self, path: Path) -> tuple[Any, list[str]]:
        """A table with all columns of its kind, and what is wrong with it; None where it says nothing."""
        pd: Any = import_module("pandas")
        whole = self.raw(path)
        if whole.frame is None:
            return None, [f"cannot be read, so it is not shown: {tidy(one)[:200]}" for one in whole.damaged]
        read, problems = whole.frame, [f"{tidy(one)}: these are not shown" for one in whole.damaged]
        lacking = [column for column in self.needed if column not in read]
        if lacking:
            return None, [f"has no column {', '.join(lacking)}, so it is not shown"]
        empty = [column for column in self.columns if column not in read and column not in self.later]
        if empty:
            problems.append(f"has no column {', '.join(empty)}: shown empty")
        if len(read) > MOST_ROWS:
            problems.append(f"{len(read):,} rows, of which the first {MOST_ROWS:,} are shown")
            read = read.head(MOST_ROWS)
        made: Any = pd.DataFrame(index=range(len(read)))
        for column in self.text:
            made[column] = [tidy(v) for v in read[column]] if column in read else ""
        for column in self.numbers:
            values: Any = read[column].to_numpy() if column in read else float("nan")
            numbers: Any = _numeric(pd.Series(values, index=made.index))
            bad = int((numbers.isna() & pd.Series(values, index=made.index).notna()).sum())
            if bad:
                problems.append(f"{bad} of {len(made)} values of {column} are no numbers: shown empty")
            made[column] = numbers
        return made, problems


def _numeric(values: Any) -> Any:
    """A pandas Series as numbers; NaN for what is none, lists and tables among them."""
    pd: Any = import_module("pandas")
    try:
        return pd.to_numeric(values, errors="coerce").astype(float)
    except (TypeError, ValueError, OverflowError):
        plain = [v if isinstance(v, int | float | str) else None for v in values]
        return pd.to_numeric(pd.Series(plain, index=values.index, dtype=object), errors="coerce").astype(float)


class JsonFile(Kind):
    """A kind that a folder holds as one JSON file of a fixed name."""

    def __init__(self, name: str) -> None:
        self.name, self.held = name, f"{name}.json"

    def places(self, folder: Path) -> list[Path]:
        return [path for path in [folder / self.held] if path.exists()]

    def read(self, place: Path, run: str) -> Piece:
        try:
            return Piece(self.parsed(regular(place).read_text(encoding="utf-8")), run)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            said = f"{place.name} cannot be read, so it is not shown: {tidy(str(error))[:200]}"
            return Piece(None, run, damaged=[said])

    def parsed(self, text: str) -> Any:
        """The content of the file; None where it holds no such thing."""
        raise NotImplementedError


def _facts(table: Path) -> Mapping[str, Any]:
    """The facts beside a table, where there are any that can be read: in run.json, or in a file of the table's name."""
    for path in (table.with_name("run.json"), table.with_suffix(".json")):
        try:
            facts: Any = parsed(regular(path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(facts, dict):
            known = cast(dict[str, Any], facts)
            return known.get("facts", known)
    return {}
