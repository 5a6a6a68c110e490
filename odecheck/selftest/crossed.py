"""Wrong subjects by tables: where a mistake is made × what it is × how large it is, in place of copies by hand.

Each function makes the wrong subjects of one place in the way from a field to an answer, of all combinations of what
its tables name. `kinds` says which claim has to see them, on which right subject.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from odecheck.claim import Mutant
from odecheck.engines.base import LossFn
from odecheck.mutants.base import around_field, wrong_engine, wrong_field

Mask = Callable[[Tensor, Tensor], Any]
Choice = Callable[[int], list[int]]
FieldChange = Callable[[nn.Module, Tensor, Tensor], Tensor]

# a factor: the sign of an answer, nothing of it, a hundredth too much
FACTORS = (-1.0, 0.0, 1.01)


def lying(x: Tensor, by: Any) -> Tensor:
    """The value of x, whose derivative is `by` times its own."""
    still = x.detach()
    return still + by * (x - still)


def _some(x: Tensor, rows: Sequence[int], change: Callable[[Tensor], Tensor]) -> Tensor:
    """Some of the rows of x changed; differentiable."""
    chosen = torch.zeros(len(x), dtype=torch.bool)
    chosen[list(rows)] = True
    return torch.where(chosen.reshape(-1, *[1] * (x.dim() - 1)), change(x), x)


# --- fields ------------------------------------------------------------------------------------------------------

PLACES: Mapping[str, Mask] = {
    "everywhere": lambda t, y: 1.0,
    "in the first component": lambda t, y: torch.eye(y.shape[-1], dtype=y.dtype)[0],
    "where a state is beyond 2": lambda t, y: (y.detach().abs().amax() > 2).to(y.dtype),
    "where a state is beyond 10": lambda t, y: (y.detach().abs().amax() > 10).to(y.dtype),
    "at negative times": lambda t, y: (t.detach() < 0).to(y.dtype),
    "at times beyond 2": lambda t, y: (t.detach() > 2).to(y.dtype),
}
PARTS_OF_THE_WAY: Mapping[str, Mask] = {
    "everywhere": lambda t, y: 1.0,
    "in three tenths of the time": lambda t, y: (t.detach() * 7 % 1 < 0.3).to(y.dtype),
    "in a tenth of the time": lambda t, y: ((t.detach() - 0.4).abs() < 0.0625).to(y.dtype),
    "where the first component is large": lambda t, y: (y.detach()[..., :1] > 0.75).to(y.dtype),
}


def values(sizes: Sequence[float], places: Mapping[str, Mask] = PLACES) -> tuple[Mutant, ...]:
    """The field times 1 + size, in places."""

    def made(where: Mask, size: float) -> FieldChange:
        return lambda f, t, y: (1 + size * where(t, y)) * f(t, y)

    return tuple(
        wrong_field(f"field {place} times 1 + {size:g}", made(where, size))
        for (place, where), size in product(places.items(), sizes)
    )


def _in_time(f: nn.Module, t: Tensor, y: Tensor, by: Any) -> Tensor:
    return f(lying(t, by), y)


def _in_state(f: nn.Module, t: Tensor, y: Tensor, by: Any) -> Tensor:
    return f(t, lying(y, by))


def _in_parameters(f: nn.Module, t: Tensor, y: Tensor, by: Any) -> Tensor:
    by = by if isinstance(by, float) or by.dim() == 0 else by.mean()
    return functional_call(f, {name: lying(p, by) for name, p in f.named_parameters()}, (t, y))


ARGUMENTS = {"t": _in_time, "y": _in_state, "theta": _in_parameters}


def derivatives(sizes: Sequence[float], places: Mapping[str, Mask] = PARTS_OF_THE_WAY) -> tuple[Mutant, ...]:
    """The values of the field, whose derivative in an argument is too small by a part of it, in places."""

    def made(lie: Callable[..., Tensor], where: Mask, size: float) -> Callable[..., Tensor]:
        def change(f: nn.Module, t: Tensor, y: Tensor) -> Tensor:
            part = where(t, y)
            if argument_of[lie] == "t" and isinstance(part, Tensor):
                part = part.mean()
            return lie(f, t, y, 1 - size * part)

        return change

    argument_of = {lie: name for name, lie in ARGUMENTS.items()}
    return tuple(
        wrong_field(f"dF/d{name} {place} too small by {size:g}", made(lie, where, size))
        for (name, lie), (place, where), size in product(ARGUMENTS.items(), places.items(), sizes)
    )


def second_derivatives(sizes: Sequence[float]) -> tuple[Mutant, ...]:
    """Values and first derivatives of the field, whose second derivatives in an argument are other ones."""

    def made(of_state: bool, size: float) -> Callable[..., Tensor]:
        def change(f: nn.Module, t: Tensor, y: Tensor) -> Tensor:
            x = y if of_state else t
            return f(t, y) + size * (x - x.detach()) ** 2 / 2

        return change

    return tuple(
        wrong_field(f"d²F/d{'y' if of_state else 't'}² off by {size:g}", made(of_state, size))
        for of_state, size in product((True, False), sizes)
    )


Question = tuple[int, Tensor, Tensor, list[Tensor]]
REMEMBERED: Mapping[str, Callable[[Question], float]] = {
    "the time": lambda asked: float(asked[1].detach().mean()),
    "the state": lambda asked: float(asked[2].detach().mean()),
    "the parameters": lambda asked: sum(float(x.detach().sum()) for x in asked[3]),
    "the number of calls": lambda asked: float(asked[0]),
}


class Remembering(nn.Module):
    """A field whose value depends on what it was asked before.

    Args:
        inner: The right field.
        what: (number of calls, t, y, parameters) → the number that is remembered.
        first: Of the first call, for ever; otherwise of the call before.
        size: How much of it is in the value.
    """

    def __init__(self, inner: nn.Module, what: Callable[[Question], float], *, first: bool, size: float) -> None:
        super().__init__()
        self.inner, self.what, self.first, self.size = inner, what, first, size
        self.kept: float | None = None
        self.calls = 0

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The value, with something of a former question."""
        now = self.what((self.calls, t, y, list(self.inner.parameters())))
        before = now if self.kept is None else self.kept
        if self.kept is None or not self.first:
            self.kept = now
        self.calls += 1
        return self.inner(t, y) * (1 + self.size * (now - before))


def memories(sizes: Sequence[float]) -> tuple[Mutant, ...]:
    """Something of the first question, or of the one before, in the value."""

    def made(what: Callable[[Question], float], first: bool, size: float) -> Callable[[nn.Module], nn.Module]:
        return lambda inner: Remembering(inner, what, first=first, size=size)

    return tuple(
        around_field(
            f"{name} of {'the first call' if first else 'the call before'}, {size:g} of it", made(w, first, size)
        )
        for (name, w), first, size in product(REMEMBERED.items(), (True, False), sizes)
    )


def noises(sizes: Sequence[float]) -> tuple[Mutant, ...]:
    """Noise in the field's value, its time or its state."""

    def made(where: str, size: float) -> Callable[..., Tensor]:
        generator = torch.Generator()
        generator.seed()

        def change(f: nn.Module, t: Tensor, y: Tensor) -> Tensor:
            by = 1 + size * torch.randn((), generator=generator, dtype=y.dtype)
            if where == "value":
                return by * f(t, y)
            return f(by * t, y) if where == "time" else f(t, by * y)

        return change

    return tuple(
        wrong_field(f"noise of {size:g} in the {where}", made(where, size))
        for where, size in product(("value", "time", "state"), sizes)
    )


def mixed_rows(sizes: Sequence[float]) -> tuple[Mutant, ...]:
    """Rows of a batch that see each other."""
    others: dict[str, Callable[[Tensor], Tensor]] = {
        "the mean": lambda y: y.mean(dim=0, keepdim=True).expand_as(y),
        "the row before": lambda y: y.roll(1, 0),
        "the first row": lambda y: y[:1].expand_as(y),
    }

    def made(other: Callable[[Tensor], Tensor], size: float) -> FieldChange:
        return lambda f, t, y: f(t, y) + size * (other(y) - y)

    return tuple(
        wrong_field(f"rows see {size:g} of {name}", made(other, size))
        for (name, other), size in product(others.items(), sizes)
    )


# --- answers of an engine ------------------------------------------------------------------------------------------

OUTPUTS: Mapping[str, Choice] = {
    "the start": lambda n: [0],
    "the second": lambda n: [1],
    "the last": lambda n: [n - 1],
    "the last but one": lambda n: [n - 2],
    "every third": lambda n: list(range(0, n, 3)),
    "those from the fifth on": lambda n: list(range(4, n)),
    "those from the ninth on": lambda n: list(range(8, n)),
    "those from the fifteenth on": lambda n: list(range(14, n)),
}
ENDS = {name: OUTPUTS[name] for name in ("the start", "the second", "the last but one", "the last")}


def _only(y: Tensor, dtype: torch.dtype | None) -> bool:
    return dtype is None or y.dtype == dtype


def _called(dtype: torch.dtype | None) -> str:
    return "" if dtype is None else f", in {str(dtype).removeprefix('torch.')} alone"


def states(sizes: Sequence[float], at: Mapping[str, Choice] = OUTPUTS) -> tuple[Mutant, ...]:
    """Some outputs times 1 + size."""

    def made(which: Choice, size: float) -> Any:
        def solution(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
            found = engine.solution(module, solver, y0, ts)
            return _some(found, which(len(ts)), lambda x: (1 + size) * x)

        return solution

    return tuple(
        wrong_engine(f"of the outputs {name} times 1 + {size:g}", solution=made(which, size))
        for (name, which), size in product(at.items(), sizes)
    )


def seen_outputs(factors: Sequence[float], at: Mapping[str, Choice] = OUTPUTS) -> tuple[Mutant, ...]:
    """What a loss sees of some outputs, differentiated times a factor."""

    def made(which: Choice, by: float) -> Any:
        def gradient(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn) -> Any:
            def lied(y: Tensor) -> Tensor:
                return loss(_some(y, which(len(ts)), lambda x: lying(x, by)))

            return engine.gradient(module, solver, y0, ts, lied)

        return gradient

    return tuple(
        wrong_engine(f"dL/dy of {name} of the outputs times {by:g}", gradient=made(which, by))
        for (name, which), by in product(at.items(), factors)
    )


def times(
    factors: Sequence[float], at: Mapping[str, Choice] = OUTPUTS, dtype: torch.dtype | None = None
) -> tuple[Mutant, ...]:
    """dL/dt of some times, times a factor."""

    def made(which: Choice, by: float) -> Any:
        def gradient(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn) -> Any:
            got = engine.gradient(module, solver, y0, ts, loss)
            off = _some(got.ts, which(len(ts)), lambda x: by * x)
            return replace(got, ts=off) if _only(y0, dtype) else got

        return gradient

    return tuple(
        wrong_engine(f"dL/dt of {name} times {by:g}{_called(dtype)}", gradient=made(which, by))
        for (name, which), by in product(at.items(), factors)
    )
