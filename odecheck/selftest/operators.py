"""Systematic mutants of what an engine returns: every part of its answers, times every family of mistake.

The right answers are computed once and kept, so that a mutant costs no solve of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from odecheck.claim import Mutant
from odecheck.engines.base import Derivatives, LossFn, factors_of, second_order_of
from odecheck.instruments.metering import Meter, charge
from odecheck.solvers import Solver
from odecheck.subject import Subject

from . import battery
from .named import by_name
from .source import SCALE

PARTS = (
    "solution",
    "last state",
    "y0",
    "theta",
    "start time",
    "interior times",
    "last time",
    "Q_xx",
    "Q_xtheta",
    "Q_thetatheta",
    "Gauss-Newton Q_xx",
    "Gauss-Newton Q_xtheta",
    "Gauss-Newton Q_thetatheta",
    "q",
    "p",
    "Q_T",
    "Q_TT",
    "Q_Ttheta",
)
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


@dataclass(frozen=True)
class Kept:
    """An engine that computes each answer once, for as long as the process lives."""

    right: Any

    @property
    def name(self) -> str:
        return self.right.name

    @property
    def target(self) -> Literal["flow", "steps"]:
        return self.right.target

    @property
    def lands(self) -> bool:
        return getattr(self.right, "lands", False)

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        return _kept(
            (self, "solution", *_posed(module, solver, y0, ts)),
            lambda: self.right.solution(module, solver, y0, ts),
            module,
        ).clone()

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        return _kept(
            (self, "gradient", *_posed(module, solver, y0, ts, loss)),
            lambda: self.right.gradient(module, solver, y0, ts, loss),
            module,
        )

    def hessian(
        self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn, *, curved: bool = True
    ) -> Tensor:
        engine = second_order_of(self.right)
        return _kept(
            (self, curved, *_posed(module, solver, y0, ts, loss)),
            lambda: engine.hessian(module, solver, y0, ts, loss, curved=curved),
            module,
        ).clone()

    def factors(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, rows: Any) -> tuple[Tensor, Tensor]:
        engine = factors_of(self.right)
        return _kept(
            (self, "factors", *_posed(module, solver, y0, ts)),
            lambda: engine.factors(module, solver, y0, ts, rows),
            module,
        )

    def horizon(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> tuple[Tensor, Tensor]:
        engine = factors_of(self.right)
        return _kept(
            (self, "horizon", *_posed(module, solver, y0, ts, loss)),
            lambda: engine.horizon(module, solver, y0, ts, loss),
            module,
        )


_ANSWERS: dict[Any, tuple[Any, Meter]] = {}


def _kept(key: Any, answer: Callable[[], Any], module: nn.Module) -> Any:
    """The answer, at the cost that it had: a ladder whose rungs cost nothing would not see that they are the same."""
    if key in _ANSWERS:
        charge(_ANSWERS[key][1])
        return _ANSWERS[key][0]
    cost = Meter()

    def count(_module: nn.Module, _arguments: Any) -> None:
        cost.nfe += 1

    handle = module.register_forward_pre_hook(count)
    try:
        value = answer()
    finally:
        handle.remove()
    _ANSWERS[key] = value, cost
    return value


def _posed(module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn | None = None) -> tuple[Any, ...]:
    """What tells one question from another. A loss is told by its value at made-up states."""
    probe = torch.sin(torch.arange(len(ts) * y0.numel(), dtype=y0.dtype)).reshape(len(ts), *y0.shape)
    told = None if loss is None else (float(loss(probe)), float(loss(probe.cos())))
    numbers = [x.detach().numpy().tobytes() for x in (y0, ts, *module.parameters())]
    return str(module), repr(solver), tuple(numbers), y0.shape, told


@dataclass(frozen=True)
class Altered(Kept):
    """An engine one part of whose answers is changed."""

    part: str = ""
    family: str = ""

    @property
    def name(self) -> str:
        return f"{self.right.name} [{self.part}: {self.family}]"

    def _of(self, x: Tensor) -> Tensor:
        return FAMILIES[self.family](x)

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        y = self.right.solution(module, solver, y0, ts)
        if self.part == "solution":
            return self._of(y)
        if self.part == "last state":
            y[-1] = self._of(y[-1].clone())
        return y

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        got = self.right.gradient(module, solver, y0, ts, loss)
        if self.part in ("y0", "theta"):
            return replace(got, **{self.part: self._of(getattr(got, self.part))})
        times = {"start time": slice(0, 1), "interior times": slice(1, -1), "last time": slice(-1, None)}
        if self.part in times:
            dts = got.ts.clone()
            dts[times[self.part]] = self._of(dts[times[self.part]].clone())
            return replace(got, ts=dts)
        return got

    def hessian(
        self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn, *, curved: bool = True
    ) -> Tensor:
        h = self.right.hessian(module, solver, y0, ts, loss, curved=curved)
        block = self.part.removeprefix("Gauss-Newton ")
        if curved == (block != self.part):
            return h
        d, n = slice(0, y0.numel()), slice(y0.numel(), None)
        for name, rows, columns in (("Q_xx", d, d), ("Q_xtheta", d, n), ("Q_thetatheta", n, n)):
            if name == block:
                h[rows, columns] = self._of(h[rows, columns].clone())
        return h

    def factors(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, rows: Any) -> tuple[Tensor, Tensor]:
        q, p = self.right.factors(module, solver, y0, ts, rows)
        return (self._of(q) if self.part == "q" else q), (self._of(p) if self.part == "p" else p)

    def horizon(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> tuple[Tensor, Tensor]:
        exact, rough = self.right.horizon(module, solver, y0, ts, loss)
        places = {"Q_T": slice(0, 1), "Q_TT": slice(1, 2), "Q_Ttheta": slice(2, None)}
        if self.part in places:
            exact = exact.clone()
            exact[places[self.part]] = self._of(exact[places[self.part]].clone())
        return exact, rough


def kept(subject: Subject) -> Subject:
    """The same subject, whose engine computes each answer once."""
    return replace(subject, engine=Kept(subject.engine))


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
    return lambda subject: replace(subject, engine=Altered(subject.engine, part, family))


def of_claims(asked: Container[str] | None = None) -> dict[str, Mutant]:
    """Every mutant that a claim names, by name; of these claims alone, where they are given."""
    return by_name(claim for claim in battery.CLAIMS if asked is None or claim.id in asked)
