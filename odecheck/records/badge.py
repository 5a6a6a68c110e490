"""A badge: how many claims hold, as JSON that shields.io draws (https://shields.io/badges/endpoint-badge)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from odecheck.foreign import one_line

from .outcomes import Outcome, outcome

if TYPE_CHECKING:
    from odecheck.record import Record

State = Literal["holds", "known failure", "undecided", "failed"]
# from the harmless to the grave, with the colour of a badge whose gravest claim it is
COLOURS: dict[State, str] = {"holds": "brightgreen", "known failure": "yellow", "undecided": "yellow", "failed": "red"}
GRAVITY: tuple[State, ...] = tuple(COLOURS)
# of outcomes those that are about a claim that was judged
STATES: dict[Outcome, State] = {
    "passed": "holds",
    "refuted as stated": "holds",
    "expected failure": "known failure",
    "inconclusive": "undecided",
    "failed": "failed",
}


def badge(judged: Iterable[tuple[str, State]], label: str = "odecheck") -> dict[str, Any]:
    """A badge, by shields.io's schema of an endpoint.

    A claim has the gravest state of its records: it holds where all of them do.

    Args:
        judged: of each record that was judged its claim and its state.
        label: the left half.

    Returns:
        What becomes JSON.
    """
    worst: dict[str, int] = {}
    for claim, state in judged:
        worst[claim] = max(worst.get(claim, 0), GRAVITY.index(state))
    if not worst:
        message, colour = "nothing judged", "lightgrey"
    else:
        states: list[State] = [GRAVITY[place] for place in worst.values()]
        holding, unsure = states.count("holds"), states.count("undecided")
        gravest = max(states, key=GRAVITY.index)
        message = f"{holding} of {len(worst)} claims hold"
        message += f", {unsure} undecided" if unsure else ""
        colour = COLOURS[gravest]
    return {"schemaVersion": 1, "label": one_line(label, 80), "message": message, "color": colour}


def of_records(records: Sequence[Record], *, strict: bool = False) -> list[tuple[str, State]]:
    """What `badge` takes, of a run of `odecheck verify`.

    Args:
        records: all of it.
        strict: whether what is inconclusive has failed.
    """
    kinds = ((record.claim, outcome(record, strict=strict)) for record in records)
    return [(claim, STATES[kind]) for claim, kind in kinds if kind in STATES]


def write_badge(file: str, made: dict[str, Any]) -> None:
    """Write a badge.

    Args:
        file: a path, whose folder is made.
        made: what `badge` gives.
    """
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
