"""The self-test in three minutes: of each family at least one wrong subject that is refuted and one right that is not.

It says whether an installation of odecheck can be believed on this machine; the whole self-test says how far. All of it
is chosen beforehand, so that a wrong subject that is not refuted is no bad luck of a draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from odecheck_reference import hard as hard_problems

from odecheck.records.commit import own_text
from odecheck.runner.limits import Limits
from odecheck.runner.pool import Failure, Job, in_processes

from . import bars, battery, false_alarms, hard, kinds, mutation, planted, source
from .exemptions import SURVIVORS
from .journal import Journal, Piece, Row

# seconds of processor time after which a piece is ended, and on the clock, where other programs run as well
CPU, CLOCK = 300.0, 3_000.0
# (mutant of the source, where it is seen): the claim, the subject and the problem of a case of the battery
CLOSED, DISCRETE, FIXED = (subject.name for subject in (battery.CLOSED, battery.DISCRETE, battery.FIXED))
SOURCES: tuple[tuple[str, str], ...] = (
    ("ode.flow._pull_back: x + g[i - 1] -> x", f"NODE-1 | {CLOSED} | clocked"),
    ("ode.flow._pull_back: -first.reshape(1) -> first.reshape(1)", f"NODE-3 | {CLOSED} | clocked"),
    ("ode.flow._pull_back: x * r[0] -> _odecheck_scaled(x * r[0])", f"NODE-3 | {CLOSED} | clocked"),
    ("discrete.recursion.Blocks.adjoint: self.m[0].mT -> self.m[0]", f"STEP-1 | {FIXED} | on the grid"),
    ("ode.fields.Adjoint.fixed.rates: -a -> a", f"NODE-2 | {CLOSED} | clocked"),
    (
        "fields.heavy_ball.HBNODE.forward: self.sign * m -> _odecheck_scaled(self.sign * m)",
        f"SOL-1 | {DISCRETE} | heavy ball of a gradient #0",
    ),
    ("fields.adam.AdamNODE.forward: -f - m -> -f + m", f"SOL-1 | {DISCRETE} | Adam #0"),
    ("optim.snopt.SNOpt._average: 1 - group['average'] -> 1", f"OPT-7 | {CLOSED} | on the grid"),
)
SOURCE, WRONG, RIGHT, HARD, BARS = "mistakes in the source", "wrong", "right", "hard problems", "known truths"
ALARMS, PLANTED = "drawn problems", "what would have been seen"


@dataclass(frozen=True)
class Selection:
    """What is asked.

    Attributes:
        kinds: mistakes by kinds, each with its right subject.
        wrong: how many wrong subjects of each claim, at most.
        sources: mistakes in odecheck's own source.
        alarms: drawn problems, each with four right subjects and every claim.
        planted: drawn problems of records in which a defect is planted, twice what they say that they would have seen.
        hard: hard problems, the families in turn.
        bars: drawn problems whose truth is known.
    """

    kinds: Sequence[kinds.Kind] = tuple(kind for kind in kinds.KINDS if kind.quick)
    wrong: int = 2
    sources: Sequence[tuple[str, str]] = SOURCES
    alarms: int = 1
    planted: int = 1
    hard: int = len(hard_problems.FAMILIES)
    bars: int = 24

    def costs(self, seed: int) -> dict[str, float]:
        """By the name of each piece of work about how many seconds of processor time it takes."""
        return {piece.key: seconds for piece, seconds in self.pieces(seed)}

    def pieces(self, seed: int) -> list[tuple[Piece, float]]:
        """The pieces of work, each with the seconds of processor time that it takes, about."""
        found = [(Piece(kind.key, (_kind, (kind, self.wrong))), 1.2 * len(kind.claims)) for kind in self.kinds]
        found += [(Piece(key, (_source, (key, case))), 2.5) for key, case in self.sources]
        found += [(Piece(f"{ALARMS} {n}", (_alarms, (seed, n))), 25.0) for n in range(self.alarms)]
        at = seed * len(hard_problems.FAMILIES)
        found += [(Piece(f"{PLANTED} {n}", (_planted, (seed, n))), 4.0) for n in range(1, 1 + self.planted)]
        found += [(Piece(f"{HARD} {n}", (_hard, (n,))), 1.0) for n in range(at, at + self.hard)]
        at = seed * 1_000_000
        return [*found, *((Piece(f"{BARS} {n}", (_bars, (n,))), 0.4) for n in range(at, at + self.bars))]


def _row(what: str, family: str, name: str, ok: bool, said: str) -> Row:
    """what: WRONG, RIGHT, or for numbers of the reference the part."""
    return {"what": what, "family": family, "name": name, "ok": ok, "said": said}


def _kind(kind: kinds.Kind, most: int) -> list[Row]:
    rows: list[Row] = []
    for case in kind.cases():
        right = battery.outcome(case)
        rows.append(_row(RIGHT, kind.family, case.key, battery.sound(case, right), _said(right)))
        judged = 0
        for mutant in kind.wrong(case.claim):
            if judged == most:
                break
            one = battery.outcome(case, mutant)
            seen = battery.killed(one)
            if one.verdict in ("not applicable", "unsupported") or (not seen and mutant.name in SURVIVORS):
                continue  # what survives for a written reason is not counted among the refuted
            judged += 1
            rows.append(_row(WRONG, kind.family, f"{case.claim.id}: {mutant.name}", seen, _said(one)))
        if not judged:
            rows.append(_row(WRONG, kind.family, f"{case.claim.id}: any mistake", False, "not asked"))
    return rows


def _said(one: battery.Outcome) -> str:
    return f"{one.verdict}: {one.message.splitlines()[0]}" if one.message else one.verdict


def mutant_of(key: str) -> source.SourceMutant:
    """The mutant of the source that has this key.

    Raises:
        ValueError: There is none: the line was changed.
    """
    module = next((m for m in source.modules() if key.startswith(f"{m.removeprefix('odecheck.')}.")), "")
    found = next((m for m in (source.mutants(module) if module else ()) if m.key == key), None)
    if found is None:
        raise ValueError(
            f"no line of the source can have the mistake {key!r}\n"
            "  usual cause: the line was changed, and the selection of odecheck selftest --quick still names it\n"
            "  what to type: another mistake of that line in SOURCES of odecheck/selftest/quick.py"
        )
    return found


def _source(key: str, case: str) -> list[Row]:
    mutant, problems = mutant_of(key), battery.problems()
    these = [one for one in battery.cases(problems) if one.key == case]
    if not these:
        raise ValueError(f"the battery has no case {case!r}: another one in SOURCES of odecheck/selftest/quick.py")
    right = battery.outcome(these[0])
    rows = [_row(RIGHT, SOURCE, case, battery.sound(these[0], right), _said(right))]
    (found,) = mutation.judge_source(mutant, [case], problems, 0.0, {case: right})
    return [*rows, _row(WRONG, SOURCE, key, found["status"] == mutation.REFUTED, found["message"] or found["status"])]


def _alarms(seed: int, number: int) -> list[Row]:
    return [
        _row(RIGHT, ALARMS, f"{row['claim']} | {row['subject']}", not row["alarm"], row["message"] or row["verdict"])
        for row in false_alarms.judged((seed, number), drawn=1)
    ]


def _planted(seed: int, number: int) -> list[Row]:
    return [
        _row(
            WRONG, PLANTED, f"{row['claim']}: {row['planted']:.2g} of {row['quantity']}", row["refuted"], row["verdict"]
        )
        for row in planted.judged((seed, number))
    ]


def _hard(number: int) -> list[Row]:
    (row,) = hard.judged(number)
    ok = row["state"] != hard.OUTSIDE
    return [_row(HARD, HARD, f"{row['family']}, {number}", ok, row["state"])]


def _bars(number: int) -> list[Row]:
    said = {True: "inside", False: "outside its bar"}
    return [
        _row(BARS, BARS, f"{row.quantity} of {row.name}", row.score <= 1, said[row.score <= 1])
        for row in bars.rows(number)
    ]


def _quiet(_: str) -> None:
    """Nobody is told."""


def judged(work: Callable[..., list[Row]], arguments: tuple[Any, ...]) -> list[Row]:
    """In a process of its own: the rows of one piece."""
    torch.set_num_threads(1)
    return work(*arguments)


def run(
    selection: Selection,
    path: Path,
    seed: int,
    *,
    workers: int = 1,
    resume: bool = False,
    progress: Callable[[str], None] | None = None,
) -> list[Row]:
    """The rows of a selection; what the journal at `path` already has is not done again.

    Args:
        selection: what is asked.
        path: of the journal.
        seed: of what is drawn.
        workers: processes at a time.
        resume: whether to go on with a journal that is there.
        progress: is told of each piece, by its name.

    Returns:
        All rows, in the order of the selection.

    Raises:
        BadInput: A journal that is there although `resume` is False, or that was begun with other facts.
    """
    pieces = selection.pieces(seed)
    facts = {"part": "quick", "seed": seed, "source": own_text()}
    with Journal(path, facts, resume=resume) as kept:
        tell = progress or _quiet
        for key in kept.known:
            tell(key)
        jobs = [
            Job(piece.key, judged, piece.argument, Limits(seconds=CLOCK, cpu=CPU))
            for piece, _ in pieces
            if piece.key not in kept.known
        ]
        for key, found in in_processes(jobs, workers, start="fork"):
            if isinstance(found, Failure):
                found = [_row(RIGHT, "ended", key, False, found.message)]
            kept.add(key, found)
            tell(key)
        return [row for piece, _ in pieces for row in kept.known[piece.key]]


def table(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """By family: how many of the wrong subjects are refuted, and how many of the right ones, or numbers, are not."""
    lines: list[tuple[str, str, str]] = []
    for family in dict.fromkeys(row["family"] for row in rows):
        mine = [row for row in rows if row["family"] == family]
        wrong = [row["ok"] for row in mine if row["what"] == WRONG]
        right = [row["ok"] for row in mine if row["what"] != WRONG]
        of_wrong, of_right = (f"{sum(oks)} of {len(oks)}" if oks else "" for oks in (wrong, right))
        lines.append((family, of_wrong, of_right))
    return lines


def bad(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What makes it fail, in words; empty when all is well."""
    told = {WRONG: "no claim refutes", RIGHT: "a right subject is not believed"}
    return [
        f"{told.get(row['what'], 'the truth is outside the bar')}: {row['name']} ({row['family']}; {row['said']})"
        for row in rows
        if not row["ok"]
    ]
