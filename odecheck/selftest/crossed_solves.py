"""More wrong subjects by tables: intervals, steps, tolerances, forms of a state, number types; see `crossed`."""

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
from odecheck.errors import NotApplicable
from odecheck.mutants.base import Wrong, wrong_engine
from odecheck.solvers import Toleranced

from .crossed import lying

# --- intervals and times -------------------------------------------------------------------------------------------

Ends = Callable[[float, float], bool]
INTERVALS: Mapping[str, Ends] = {
    "three of a hundred intervals": lambda first, last: int(abs(last - first) * 1e9) % 100 < 3,
    "a tenth of the intervals": lambda first, last: int(abs(last - first) * 1e9) % 100 < 10,
    "intervals that begin late": lambda first, last: first > 1.0,
    "short intervals": lambda first, last: abs(last - first) < 0.011,
}
DECREASING: Mapping[str, Ends] = {"decreasing times": lambda first, last: last < first}


def intervals(sizes: Sequence[float], where: Mapping[str, Ends] = INTERVALS) -> tuple[Mutant, ...]:
    """Solves of some intervals, of a field times 1 + size."""

    def made(chosen: Ends, size: float) -> Mapping[str, Any]:
        def other(module: nn.Module, ts: Tensor) -> nn.Module:
            ends = ts.detach()
            hit = chosen(float(ends[0]), float(ends[-1]))
            return Wrong(module, lambda f, t, y: (1 + size) * f(t, y)) if hit else module

        def solution(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
            return engine.solution(other(module, ts), solver, y0, ts)

        def gradient(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn) -> Any:
            return engine.gradient(other(module, ts), solver, y0, ts, loss)

        return {"solution": solution, "gradient": gradient}

    return tuple(
        wrong_engine(f"{name}: field times 1 + {size:g}", **made(chosen, size))
        for (name, chosen), size in product(where.items(), sizes)
    )


def rounded_times(parts: Sequence[int]) -> tuple[Mutant, ...]:
    """Outputs at times that are rounded to 1/n, where that leaves them apart."""

    def made(n: int) -> Any:
        def solution(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
            near = (ts * n).round() / n
            return engine.solution(module, solver, y0, near if bool((near.diff() != 0).all()) else ts)

        return solution

    return tuple(wrong_engine(f"output times rounded to 1/{n}", solution=made(n)) for n in parts)


def blurred_times(parts: Sequence[int]) -> tuple[Mutant, ...]:
    """A field asked at times that are rounded to 1/n: what is narrower is passed over, or drawn out."""

    def made(n: int) -> Any:
        def solution(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
            return engine.solution(Wrong(module, lambda f, t, y: f((t * n).round() / n, y)), solver, y0, ts)

        return solution

    return tuple(wrong_engine(f"the field asked at multiples of 1/{n}", solution=made(n)) for n in parts)


def long_steps(longest: Sequence[float | None]) -> tuple[Mutant, ...]:
    """Steps longer than the longest that is asked for."""

    def made(at: float | None) -> Any:
        def solution(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
            if "max_step" not in getattr(solver, "options", {}):
                raise NotApplicable("no longest step is asked for")
            options = {name: value for name, value in solver.options.items() if name != "max_step"}
            options |= {} if at is None else {"max_step": at}
            return engine.solution(module, replace(solver, options=options), y0, ts)

        return solution

    return tuple(
        wrong_engine(
            "the longest step that is asked for is forgotten" if at is None else f"steps as long as {at:g}",
            solution=made(at),
        )
        for at in longest
    )


# --- steps and tolerances ------------------------------------------------------------------------------------------


def _step_of(solver: Any) -> float:
    return float(getattr(solver, "step", 0.0) or solver.options.get("max_step", 0.0))


def _scaling(by: Callable[[Any], float]) -> Mapping[str, Any]:
    """All answers times by(solver)."""

    def solution(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
        return by(solver) * engine.solution(module, solver, y0, ts)

    def gradient(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn) -> Any:
        got = engine.gradient(module, solver, y0, ts, loss)
        return replace(got, y0=by(solver) * got.y0, theta=by(solver) * got.theta, ts=by(solver) * got.ts)

    return {"solution": solution, "gradient": gradient}


def orders(powers: Sequence[int], sizes: Sequence[float]) -> tuple[Mutant, ...]:
    """Answers with an error of a lower order in the step."""

    def made(power: int, size: float) -> Mapping[str, Any]:
        return _scaling(lambda solver: 1 + size * _step_of(solver) ** power)

    return tuple(
        wrong_engine(f"an error of {size:g} times the step to the {power}", **made(power, size))
        for power, size in product(powers, sizes)
    )


ENTRIES: Mapping[str, Any] = {"all of": slice(None), "the first of": slice(0, 1), "the last of": slice(-1, None)}


def entries(sizes: Sequence[float]) -> tuple[Mutant, ...]:
    """Entries of dL/dy0 and dL/dtheta times 1 + size."""

    def made(part: str, where: slice, size: float) -> Any:
        def gradient(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn) -> Any:
            got = engine.gradient(module, solver, y0, ts, loss)
            x = getattr(got, part).clone()
            x.view(-1)[where] *= 1 + size
            return replace(got, **{part: x})

        return gradient

    return tuple(
        wrong_engine(f"{name} dL/d{part} times 1 + {size:g}", gradient=made(part, where, size))
        for part, (name, where), size in product(("y0", "theta"), ENTRIES.items(), sizes)
    )


def tolerances(pairs: Sequence[tuple[float, float]]) -> tuple[Mutant, ...]:
    """Solves at another tolerance than is asked for: factor × rtol to a power."""

    def made(factor: float, power: float) -> Any:
        def solution(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
            if not isinstance(solver, Toleranced):
                raise NotApplicable("the solver has no tolerance that can be chosen")
            rtol = min(factor * solver.rtol**power, 0.5)
            atol = None if solver.atol is None else solver.atol * rtol / solver.rtol
            return engine.solution(module, solver.with_tolerance(rtol, atol), y0, ts)

        return solution

    return tuple(
        wrong_engine(f"the tolerance {factor:g} rtol^{power:g}", solution=made(factor, power))
        for factor, power in pairs
    )


def erratic(rungs: Sequence[float], sizes: Sequence[float]) -> tuple[Mutant, ...]:
    """Answers that are wrong at one tolerance alone."""

    def made(rung: float, size: float) -> Mapping[str, Any]:
        return _scaling(lambda solver: 1 + size if 0.5 < getattr(solver, "rtol", 0.0) / rung < 2 else 1.0)

    return tuple(
        wrong_engine(f"off by {size:g} at rtol {rung:g} alone", **made(rung, size))
        for rung, size in product(rungs, sizes)
    )


# --- solves in a graph: forms of a state, number types, starts ---------------------------------------------------

Form = Callable[[Any, float], Any]


def _first_part(x: Any, by: float) -> Any:
    return (by * x[0], *x[1:]) if isinstance(x, tuple) else x


def _other_parts(x: Any, by: float) -> Any:
    return (x[0], *_times(x[1:], by)) if isinstance(x, tuple) else x


def _times(parts: Any, by: float) -> list[Tensor]:
    return [by * part for part in parts]


def _real(x: Any, by: float) -> Any:
    return torch.complex(by * x.real, x.imag) if torch.is_complex(x) else x


def _imaginary(x: Any, by: float) -> Any:
    return torch.complex(x.real, by * x.imag) if torch.is_complex(x) else x


TUPLES: Mapping[str, Form] = {"the first part of a tuple": _first_part, "the second part of a tuple": _other_parts}
COMPLEX: Mapping[str, Form] = {"the real part": _real, "the imaginary part": _imaginary}


def _lied(form: Form, x: Any, by: float) -> Any:
    """The value of x, the derivative of a part of which is `by` times its own."""
    if isinstance(x, Tensor):
        return x.detach() + form(x - x.detach(), by)
    parts: list[Tensor] = list(x)
    moved = form(tuple(part - part.detach() for part in parts), by)
    return tuple(part.detach() + move for part, move in zip(parts, moved, strict=True))


def formed(forms: Mapping[str, Form], sizes: Sequence[float], *, lies: bool = False) -> tuple[Mutant, ...]:
    """A part of the states times 1 + size; where it lies, a part of the derivative in the start."""

    def made(form: Form, size: float) -> Any:
        def attached(engine: Any, module: Any, solver: Any, y0: Any, ts: Tensor) -> Any:
            if lies:
                return engine.attached(module, solver, _lied(form, y0, 1 + size), ts)
            return form(engine.attached(module, solver, y0, ts), 1 + size)

        return attached

    of = "derivative in " if lies else ""
    return tuple(
        wrong_engine(f"{of}{name} times 1 + {size:g}", attached=made(form, size))
        for (name, form), size in product(forms.items(), sizes)
    )


def _component(x: Tensor) -> Tensor:
    return torch.eye(x.shape[-1], dtype=x.dtype)[0]


STATES_32: Mapping[str, Callable[[Tensor], Any]] = {
    "all states": lambda y: torch.ones_like(y),
    "the first component": lambda y: _component(y).expand_as(y),
    "the last state": lambda y: torch.cat([torch.zeros_like(y[:-1]), torch.ones_like(y[-1:])]),
}


def states_in_float32(sizes: Sequence[float]) -> tuple[Mutant, ...]:
    """States times 1 + size, in float32 alone."""

    def made(where: Callable[[Tensor], Any], size: float) -> Any:
        def attached(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
            found = engine.attached(module, solver, y0, ts)
            return found * (1 + size * where(found)) if found.dtype == torch.float32 else found

        return attached

    return tuple(
        wrong_engine(f"{name} times 1 + {size:g}, in float32 alone", attached=made(where, size))
        for (name, where), size in product(STATES_32.items(), sizes)
    )


class LyingParameters(nn.Module):
    """A field whose derivative in some parameters is `by` times its own.

    Args:
        inner: The right field.
        names: Of the parameters; none: all of them.
        by: The factor.
    """

    def __init__(self, inner: nn.Module, names: Sequence[str], by: float) -> None:
        super().__init__()
        self.inner, self.names, self.by = inner, names, by

    def forward(self, t: Tensor, y: Any) -> Any:
        """The right value."""
        lied = {n: lying(p, self.by) for n, p in self.inner.named_parameters() if not self.names or n in self.names}
        return functional_call(self.inner, lied, (t, y))


def parameters(names: Sequence[str], factors: Sequence[float]) -> tuple[Mutant, ...]:
    """The derivative in a parameter times a factor; of the name "" in all of them, in float32 alone."""

    def made(name: str, by: float) -> Any:
        def attached(engine: Any, module: nn.Module, solver: Any, y0: Any, ts: Tensor) -> Any:
            if not name and ts.dtype != torch.float32:
                return engine.attached(module, solver, y0, ts)
            return engine.attached(LyingParameters(module, [name] if name else [], by), solver, y0, ts)

        return attached

    return tuple(
        wrong_engine(
            f"derivative in {name} times {by:g}" if name else f"dL/dtheta times {by:g}, in float32 alone",
            attached=made(name, by),
        )
        for name, by in product(names, factors)
    )


def starts(factors: Sequence[float], *, float32: bool = False) -> tuple[Mutant, ...]:
    """The derivative in a half of the start times a factor."""

    def made(second: bool, by: float) -> Any:
        def attached(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor) -> Any:
            if float32 and y0.dtype != torch.float32:
                return engine.attached(module, solver, y0, ts)
            half = y0.shape[-1] // 2
            left, right = y0[..., :half], y0[..., half:]
            lied = (left, lying(right, by)) if second else (lying(left, by), right)
            return engine.attached(module, solver, torch.cat(lied, dim=-1), ts)

        return attached

    end = ", in float32 alone" if float32 else ""
    return tuple(
        wrong_engine(
            f"dL/dy0 of the {'second' if second else 'first'} half times {by:g}{end}", attached=made(second, by)
        )
        for second, by in product((False, True), factors)
    )
