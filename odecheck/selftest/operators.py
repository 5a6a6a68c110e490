"""Systematic mutants of what an engine returns: every part of its answers, times every family of mistake.

The right answers are computed once and kept, so that a mutant costs no solve of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.claim import Mutant
from odecheck.engines.base import Engine, LossFn
from odecheck.errors import Unsupported
from odecheck.instruments.metering import Meter, charge
from odecheck.instruments.step_counts import evaluations
from odecheck.mutants.base import OPERATIONS, Operation, WrongEngine
from odecheck.solvers import Solver
from odecheck.subject import Subject

from . import battery
from .named import by_name
from .source import SCALE

Change = Callable[[Tensor], Tensor]


def _turned(x: Tensor) -> Tensor:
    """The numbers of the transposed array, read in the shape of the right one; of a vector, from its end."""
    return x.flip(0) if x.dim() < 2 else x.transpose(-1, -2).reshape(x.shape)


# a change that gives back an equal tensor, as a turn of a single number does, is no mutant
FAMILIES: dict[str, Change] = {
    "sign": lambda x: -x,
    "dropped term": torch.zeros_like,
    "doubled term": lambda x: 2 * x,
    "scale 1 + 1e-6": lambda x: SCALE * x,
    "float32": lambda x: x.to(torch.float32).to(x.dtype),
    "transpose": _turned,
    "wrong index": lambda x: x.roll(1, 0) if x.dim() else x,
}


_ANSWERS: dict[Any, tuple[Any, Meter]] = {}


def _kept(key: Any, answer: Callable[[], Any], module: nn.Module) -> Any:
    """The answer, at the cost that it had: a ladder whose rungs cost nothing would not see that they are the same."""
    if key in _ANSWERS:
        charge(_ANSWERS[key][1])
        return _ANSWERS[key][0]
    with evaluations(module) as counted:
        value = answer()
    _ANSWERS[key] = value, Meter(counted.nfe)
    return value


def _posed(module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn | None = None) -> tuple[Any, ...]:
    """What tells one question from another. A loss is told by its value at made-up states."""
    probe = torch.sin(torch.arange(len(ts) * y0.numel(), dtype=y0.dtype)).reshape(len(ts), *y0.shape)
    told = None if loss is None else (float(loss(probe)), float(loss(probe.cos())))
    numbers = [x.detach().numpy().tobytes() for x in (y0, ts, *module.parameters())]
    return str(module), repr(solver), tuple(numbers), y0.shape, told


def _remembered(operation: str) -> Operation:
    """The operation of the right engine, each answer of which is computed once, for as long as the process lives."""

    def answer(engine: Any, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, *more: Any, **how: Any) -> Any:
        loss = None if operation == "factors" else next(iter(more), None)
        value = _kept(
            (engine, operation, *how.values(), *_posed(module, solver, y0, ts, loss)),
            lambda: getattr(engine, operation)(module, solver, y0, ts, *more, **how),
            module,
        )
        return value.clone() if isinstance(value, Tensor) else value

    return answer


def _refused(operation: str) -> Operation:
    def refuse(engine: Engine, *_: Any) -> Any:
        raise Unsupported(f"{engine.name}: what {operation} gives cannot be kept")

    return refuse


REMEMBERED = ("solution", "gradient", "hessian", "factors", "horizon")
KEEPS = tuple((name, _remembered(name) if name in REMEMBERED else _refused(name)) for name in OPERATIONS)


def kept(subject: Subject) -> Subject:
    """The same subject, whose engine computes each answer once, and has nothing that is attached to a graph."""
    return replace(subject, engine=WrongEngine(subject.engine, "", KEEPS))


# --- the parts of the answers --------------------------------------------------------------------------------------

# (answer, change, entries of y0, whether the Hessian is the full one) → the answer with a part of it changed
Alter = Callable[[Any, Change, int, bool], Any]


def _entries(where: int | slice) -> Alter:
    def alter(x: Tensor, change: Change, _d: int, _curved: bool) -> Tensor:
        x = x.clone()
        x[where] = change(x[where].clone())
        return x

    return alter


def _named(part: str) -> Alter:
    def alter(got: Any, change: Change, _d: int, _curved: bool) -> Any:
        return replace(got, **{part: change(getattr(got, part))})

    return alter


def _times(where: slice) -> Alter:
    def alter(got: Any, change: Change, d: int, curved: bool) -> Any:
        return replace(got, ts=_entries(where)(got.ts, change, d, curved))

    return alter


def _block(rows: str, columns: str, curved: bool) -> Alter:
    def alter(h: Tensor, change: Change, d: int, asked: bool) -> Tensor:
        if asked == curved:
            at = {"x": slice(0, d), "theta": slice(d, None)}
            h[at[rows], at[columns]] = change(h[at[rows], at[columns]].clone())
        return h

    return alter


def _of_pair(index: int, alter: Alter) -> Alter:
    def altered_one(pair: Any, change: Change, d: int, curved: bool) -> Any:
        return tuple(alter(x, change, d, curved) if i == index else x for i, x in enumerate(pair))

    return altered_one


def _whole(x: Any, change: Change, _d: int, _curved: bool) -> Any:
    return change(x)


PLACES: dict[str, tuple[str, Alter]] = {
    "solution": ("solution", _whole),
    "last state": ("solution", _entries(-1)),
    "y0": ("gradient", _named("y0")),
    "theta": ("gradient", _named("theta")),
    "times": ("gradient", _named("ts")),
    "start time": ("gradient", _times(slice(0, 1))),
    "interior times": ("gradient", _times(slice(1, -1))),
    "last time": ("gradient", _times(slice(-1, None))),
    **{
        f"{form}Q_{rows}{columns}": ("hessian", _block(rows, columns, not form))
        for form in ("", "Gauss-Newton ")
        for rows, columns in (("x", "x"), ("x", "theta"), ("theta", "theta"))
    },
    "q": ("factors", _of_pair(0, _whole)),
    "p": ("factors", _of_pair(1, _whole)),
    "Q_T": ("horizon", _of_pair(0, _entries(slice(0, 1)))),
    "Q_TT": ("horizon", _of_pair(0, _entries(slice(1, 2)))),
    "Q_Ttheta": ("horizon", _of_pair(0, _entries(slice(2, None)))),
}
"""Part of the answers → the operation that gives it, and how it is changed there."""
PARTS = tuple(part for part in PLACES if part != "times")  # whose parts are asked one by one


def altered(engine: Engine, part: str, family: str, change: Change | None = None) -> WrongEngine:
    """The engine with one part of its answers changed, by the change of a family, or by one of no family."""
    return WrongEngine(engine, f"{part}: {family}", (_altering(part, change or FAMILIES[family]),))


@cache  # so that engines that are altered alike are equal
def _altering(part: str, change: Change) -> tuple[str, Operation]:
    operation, alter = PLACES[part]

    def wrong(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor, *more: Any, **how: Any) -> Any:
        answer = getattr(engine, operation)(module, solver, y0, ts, *more, **how)
        return alter(answer, change, y0.numel(), how.get("curved", True))

    return operation, wrong


# a turn or a roll of these does nothing, or next to nothing: numbers alone, and symmetric blocks
SINGLE = ("start time", "last time", "Q_T", "Q_TT")
SYMMETRIC = ("Q_xx", "Q_thetatheta", "Gauss-Newton Q_xx", "Gauss-Newton Q_thetatheta")


def mutants() -> Iterator[tuple[str, str, Callable[[Subject], Subject]]]:
    """(part, family, change) of every mutant that is not the right engine."""
    for part in PARTS:
        for family in FAMILIES:
            if (part in SINGLE and family in ("transpose", "wrong index")) or (
                part in SYMMETRIC and family == "transpose"
            ):
                continue
            yield part, family, _change(part, family)


def _change(part: str, family: str) -> Callable[[Subject], Subject]:
    return lambda subject: replace(subject, engine=altered(subject.engine, part, family))


def of_claims(asked: Container[str] | None = None) -> dict[str, Mutant]:
    """Every mutant that a claim names, by name; of these claims alone, where they are given."""
    return by_name(claim for claim in battery.CLAIMS if asked is None or claim.id in asked)
