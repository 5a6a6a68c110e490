"""Every kind of finding, and whether it is a mistake or advice: in one table, from which verdicts and pages follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Weight(StrEnum):
    """What a finding does to the verdict of its row.

    Attributes:
        WRONG: A mistake: the row is refuted.
        ADVICE: True, and may be meant so: it is said, and the verdict is that of the errors.
        EITHER: A mistake under a condition that the table says, else advice.
    """

    WRONG = "wrong"
    ADVICE = "advice"
    EITHER = "wrong, or advice"


@dataclass(frozen=True)
class Finding:
    """One mistake, or a piece of advice, by kind and in words.

    Attributes:
        kind: A few words, the same for every mistake of this kind.
        text: What is wrong, and what to type.
        note: It is true and worth knowing, and may be meant so.
    """

    kind: str
    text: str
    note: bool = False


# kind → its weight, and for EITHER what makes it wrong
KINDS: Mapping[str, tuple[Weight, str]] = MappingProxyType(
    {
        "captured, gradient lost": (Weight.WRONG, ""),
        "parameter not reached": (Weight.WRONG, ""),
        "changed before backward": (Weight.WRONG, ""),
        "cut off": (Weight.WRONG, ""),
        "wrong backward": (Weight.WRONG, ""),
        "gradient not finite": (Weight.WRONG, ""),
        "remembers its first call": (Weight.WRONG, ""),
        "caches its weights": (Weight.WRONG, ""),
        "depends on the number of calls": (Weight.WRONG, ""),
        "changes its input": (Weight.WRONG, ""),
        "dropout active": (Weight.WRONG, ""),
        "noise in every evaluation": (Weight.EITHER, "where steps are chosen by an estimate of the error"),
        "float32 clock": (Weight.WRONG, ""),
        "float32 inside": (Weight.WRONG, ""),
        "float32 hurts": (Weight.WRONG, ""),
        "half precision": (Weight.EITHER, "where the tolerance is not kept, or more than 1 % is lost"),
        "uses up its steps": (Weight.EITHER, "where the solve ended before its last time"),
        "steps at minimum": (Weight.EITHER, "where the tolerance is not kept"),
        "step size vanishes": (Weight.WRONG, ""),
        "loss sees the start": (Weight.WRONG, ""),
        "event time held fixed": (Weight.WRONG, ""),
        "event gradient turned": (Weight.WRONG, ""),
        "event parameter, gradient lost": (Weight.WRONG, ""),
        "event at the end of a step": (Weight.WRONG, ""),
        "event stepped over": (Weight.WRONG, ""),
        "event time off": (Weight.WRONG, ""),
        "no event there": (Weight.WRONG, ""),
        "stiff": (Weight.ADVICE, ""),
        "backward is dear": (Weight.ADVICE, ""),
        "loss sees one time": (Weight.ADVICE, ""),
        "gradient below atol": (Weight.ADVICE, ""),
        "coarse steps": (Weight.ADVICE, ""),
        "loose adjoint": (Weight.ADVICE, ""),
        "steps over kinks": (Weight.ADVICE, ""),
        "no gradient": (Weight.ADVICE, ""),
        "loose tolerance": (Weight.ADVICE, ""),
        "tolerance below rounding": (Weight.ADVICE, ""),
        "batch norm in training mode": (Weight.ADVICE, ""),
        "spectral norm in training mode": (Weight.EITHER, "where its power iteration has not converged"),
        "constant": (Weight.ADVICE, ""),
        "raised": (Weight.ADVICE, ""),
        "options ignored": (Weight.ADVICE, ""),
    }
)


def finding(kind: str, text: str, *, wrong: bool | None = None) -> Finding:
    """A finding of a kind of the table.

    Args:
        kind: One of KINDS.
        text: What is wrong, and what to type.
        wrong: Of a kind that is either: whether it is a mistake here.

    Returns:
        The finding, a note where it is advice.

    Raises:
        ValueError: No such kind, or one that needs `wrong`, or does not take it.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no kind of finding {kind!r}: give it a line in KINDS of odecheck/watching/kinds.py")
    weight, _ = KINDS[kind]
    if (wrong is None) == (weight is Weight.EITHER):
        raise ValueError(f"findings of the kind {kind!r} are {weight}: finding(kind, text, wrong=...) is for EITHER")
    return Finding(kind, text, note=weight is Weight.ADVICE or wrong is False)
