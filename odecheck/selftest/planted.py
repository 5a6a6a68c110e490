"""What records say that they would have seen, tried: a defect of twice that size is planted, and has to be refuted.

A record that holds says the smallest relative defect that it would have refuted (`resolved`). Of drawn problems and
correct subjects, for each part of an answer, the claim that asks for it is judged. Where it holds, one number of it
is moved by twice what the record says, in units of the largest number of the part, up or down, on every rung alike.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from odecheck_reference import Problem, adjoint_states, gradient, solution
from odecheck_reference.bounded import Array
from torch import Tensor

from odecheck.claims import ALL
from odecheck.judge import Verdict
from odecheck.record import evaluate
from odecheck.subject import Subject

from . import false_alarms, operators
from .battery import KeptRuns
from .journal import Piece, Row

TIMES = 2.0


@dataclass(frozen=True)
class Quantity:
    """A part of an answer.

    Attributes:
        name: in words.
        claim: that asks for it.
        part: what `operators.altered` calls it.
        truth: what the claim compares it with.
    """

    name: str
    claim: str
    part: str
    truth: Callable[[Problem], Array]


QUANTITIES = (
    Quantity("solution", "SOL-2", "solution", lambda problem: solution(problem).value),
    Quantity("dL/dy0", "NODE-1", "y0", lambda problem: adjoint_states(problem).value[:-1]),
    Quantity("dL/dtheta", "NODE-2", "theta", lambda problem: gradient(problem).theta.value),
    Quantity("dL/dt", "NODE-3", "times", lambda problem: gradient(problem).ts.value),
)


def moved(by: float, place: int, width: int) -> Callable[[Tensor], Tensor]:
    """The change that adds a number to one number of a tensor.

    Args:
        by: what is added.
        place: counted round the end.
        width: components of a state; one more is the integral of a running cost, which nobody compares.

    Returns:
        The change.
    """

    def change(x: Tensor) -> Tensor:
        where = torch.arange(x.numel()).reshape(x.shape)
        kept = (where[..., :width] if x.dim() > 1 else where).reshape(-1)
        return x + by * (where == kept[place % len(kept)])

    return change


def planted(subject: Subject, problem: Problem, quantity: Quantity) -> Row | None:
    """One row: what a record says that it would have seen, and the verdict on twice that; None where it does not hold.

    Args:
        subject: a right one.
        problem: what is asked.
        quantity: the part of the answer.

    Returns:
        The row.
    """
    claim = next(one for one in ALL if one.id == quantity.claim)
    subject = operators.kept(subject)
    right = evaluate(claim, subject, problem)
    if right.verdict != Verdict.HOLDS:
        return None
    # the same place and sign for the same case, whatever else is judged
    rng = np.random.default_rng(zlib.crc32(f"{subject.name} {problem.name} {claim.id}".encode()))
    size = float(np.max(np.abs(quantity.truth(problem))))
    by = TIMES * right.resolved * size * rng.choice([-1, 1])
    change = moved(by, int(rng.integers(10**6)), problem.field.state)
    engine = operators.altered(subject.engine, quantity.part, f"{by:g} more", change)
    wrong = evaluate(claim, replace(subject, engine=engine), problem)
    return {
        "quantity": quantity.name,
        "claim": claim.id,
        "subject": subject.name,
        "problem": problem.name,
        "resolved": right.resolved,
        "planted": TIMES * right.resolved,
        "verdict": str(wrong.verdict),
        "refuted": wrong.verdict == Verdict.REFUTED,
    }


def judged(argument: tuple[int, int]) -> list[Row]:
    """The rows of one drawn problem and its four subjects, by seed and number."""
    torch.set_num_threads(1)
    runs = KeptRuns()
    runs.install()
    pairs = false_alarms.batch(*argument, drawn=1)
    found = (planted(subject, problem, quantity) for problem, subject in pairs for quantity in QUANTITIES)
    return [row for row in found if row is not None]


def pieces(seed: int, count: int) -> list[Piece]:
    """One piece of work for each drawn problem."""
    return [Piece(str(number), (seed, number)) for number in range(count)]


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many records hold, in how many the planted defect is refuted, and those where it is not; by quantity."""
    quantities: list[Row] = []
    for quantity in QUANTITIES:
        mine = [row for row in rows if row["quantity"] == quantity.name]
        seen = [row["resolved"] for row in mine]
        quantities.append(
            {
                "quantity": quantity.name,
                "claim": quantity.claim,
                "records": len(mine),
                "refuted": sum(row["refuted"] for row in mine),
                "smallest": min(seen, default=float("nan")),
                "median": float(np.median(seen)) if seen else float("nan"),
            }
        )
    return {
        "records": len(rows),
        "refuted": sum(row["refuted"] for row in rows),
        "unseen": [dict(row) for row in rows if not row["refuted"]],
        "quantities": quantities,
    }


def bad(made: Mapping[str, Any]) -> list[str]:
    """What is wrong, in words."""
    return [
        f"{row['claim']} says that it would have seen {row['resolved']:.3g}, and a defect of {row['planted']:.3g} in "
        f"{row['quantity']} is {row['verdict']}: {row['subject']} | {row['problem']}"
        for row in made.get("unseen", ())
    ]


def words(made: Mapping[str, Any]) -> tuple[str, tuple[str, ...], list[tuple[Any, ...]]]:
    """A sentence, and the head and rows of the table by quantity."""
    text = (
        f"{made['records']:,} records that hold, of correct subjects on drawn problems, each with a defect planted of "
        f"{TIMES:g} times what it says that it would have seen: **{made['refuted']:,}** are refuted then."
    )
    head = ("quantity", "claim", "records", "refuted", "smallest that would be seen", "median")
    return text, head, [tuple(row.values()) for row in made["quantities"]]
