"""The part `kinds`: mutants of `crossed_kinds`, and the ones named by claims that the battery does not ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import torch

from . import battery, mutation
from .crossed_kinds import CROSSED
from .journal import Piece, Row
from .kinds import KINDS, Kind


def judged(argument: tuple[str, int]) -> list[Row]:
    """The rows of one kind. argument: the table that it is in, "crossed" or "named", and its number there."""
    torch.set_num_threads(1)
    table, number = argument
    return of_kind((CROSSED if table == "crossed" else KINDS)[number], named=table == "named")


def of_kind(kind: Kind, *, named: bool) -> list[Row]:
    """One row for each wrong subject of a kind.

    Args:
        kind: what is judged.
        named: whether its claims' own mutants are meant, of those claims alone that the battery does not ask.

    Returns:
        The rows. Where the right subject has not the verdict that the claim expects nothing counts: they are undecided.
    """
    rows: list[Row] = []
    for case in kind.cases():
        if named and battery.asks(case.claim.id):
            continue
        right = battery.outcome(case)
        sound = battery.sound(case, right)
        for mutant in kind.wrong(case.claim):
            found, wrong = mutation.Verdicts(), battery.outcome(case, mutant)
            if named and wrong.verdict in ("not applicable", "unsupported"):
                continue
            found.add(right, wrong)
            status, said = ("", wrong.message) if sound else (mutation.UNDECIDED, f"the right subject {right.verdict}")
            name = f"{case.claim.id}: {mutant.name}"
            rows.append(mutation.row(name, kind.family, case.claim.id, found, status, said[:300]))
    return rows


def pieces() -> list[Piece]:
    """One for each kind."""
    crossed = [Piece(f"crossed {n}: {kind.key}", ("crossed", n)) for n, kind in enumerate(CROSSED)]
    return [*crossed, *(Piece(f"named {n}: {kind.key}", ("named", n)) for n, kind in enumerate(KINDS))]


def summary(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """By family: which claims, how many mutants, how many of them are of float32 alone, how many are refuted."""
    lines: list[Row] = []
    for family, of in groupby(sorted(rows, key=itemgetter("family")), itemgetter("family")):
        these = list(of)
        lines.append(
            {
                "family": family,
                "claims": ", ".join(dict.fromkeys(row["part"] for row in these)),
                "mutants": len(these),
                "of_float32": sum("float32" in row["mutant"] for row in these),
                "refuted": sum(row["status"] == mutation.REFUTED for row in these),
            }
        )
    return lines


def words(made: Mapping[str, Any]) -> tuple[str, tuple[str, ...], list[tuple[Any, ...]]]:
    """A sentence, and the head and rows of the table by family."""
    text = (
        f"{made['mutants']} wrong subjects, from tables of where a mistake is made, what it is and how large: "
        f"{made['refuted']} refuted, {made['ended_with_an_error']} ended with an error, {made['explained']} survive "
        f"for a written reason, **{made['unexplained']} unexplained**. Each is judged by one claim, and counts where "
        "the right subject that it is made of has the verdict that the claim expects."
    )
    lines = [tuple(row.values()) for row in made["families"]]
    return text, ("family", "claims", "mutants", "of float32 alone", "refuted"), lines
