"""Everything that values say of a field, and the words in which a field is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from odecheck_reference.bounded import Array
from torch import nn

from .derivatives import COSTLY, ask_derivatives
from .function import CAUSES, Answer, ask_again, ask_function, without_influence
from .line import Asked
from .points import Path, rough_path
from .seen import DerivativesSeen

SAMPLES = 256
# parameters whose influence is looked at, of those that the gradient never reached
MOST = 16


@dataclass(frozen=True)
class FieldSeen:
    """What was seen of a field.

    derivatives: against its values. answers: to the same questions in other circumstances. without_influence:
    parameters that can take any value without the field changing.
    """

    derivatives: DerivativesSeen
    answers: tuple[Answer, ...]
    without_influence: tuple[str, ...]

    def refusal(self) -> tuple[str, str, str] | None:
        """What was seen, its usual cause and what to type; None of a field that nothing speaks against."""
        off = next((a for a in self.answers if a.off), None)
        if off is not None:
            return _not_a_function(off, [a.question for a in self.answers if a.off])
        if self.without_influence:
            return _kept(self.without_influence)
        if self.derivatives.worst is not None:
            return _coarse() if self.derivatives.worst.flat else _another_derivative(self.derivatives)
        return None


def look(
    make: Callable[[], nn.Module],
    ts: Array,
    knots: Array,
    *,
    features: tuple[int, ...] | None = None,
    samples: int | None = None,
    seed: int = 0,
    forward: bool = False,
    second: int = 0,
) -> FieldSeen:
    """Ask a field by its values.

    Args:
        make: makes the module, in float64, anew at each call and as it is before anything was asked of it; it is called
            as module(t, y) with t of shape () and y (rows, *features).
        ts: (times,), monotone.
        knots: (times, batch, state), states at ts.
        features: the shape of one row of the state as the module takes it; by default (state,).
        samples: strata of [ts[0], ts[-1]] with a random time in each; a window of two strata is certainly looked at. By
            default 256, or 128 of a module with more than 10,000 parameters.
        seed: of the places and directions.
        forward: ask forward mode as well, which takes torch a second of CPU time to load.
        second: at every so many places also second derivatives; 0 for nowhere.

    Raises:
        NoBackward: the backward pass of the field raised.

    Returns:
        What was seen, as data; of what is no function derivatives are not asked. The cost grows with the samples and
        with the cost of a call of the field, not with the number of its parameters otherwise.
    """
    features = features or knots.shape[2:]
    path = path_of(make(), ts, knots, features)
    answers = ask_function(make, path, features, seed=seed)
    if any(a.off for a in answers):  # what is no function has no derivative
        return FieldSeen(ask_derivatives(make(), path, features, samples=0), answers, ())
    asked = Asked(make())
    samples = samples or (SAMPLES if len(asked.theta) <= COSTLY else SAMPLES // 2)
    derivatives = ask_derivatives(asked, path, features, samples=samples, seed=seed, forward=forward, second=second)
    again = ask_again(make, asked.restored(), path, features, seed=seed)
    unread = without_influence(make(), path, features, derivatives.untouched[:MOST], seed=seed)
    return FieldSeen(derivatives, (*answers, again), unread)


def path_of(module: nn.Module, ts: Array, knots: Array, features: tuple[int, ...]) -> Path:
    """A rough trajectory of a module through known states (times, batch, state); features: a row as it takes it."""

    def value(t: float, y: Array) -> Array:
        with torch.no_grad():
            got = module(torch.tensor(t, dtype=torch.float64), torch.tensor(y).reshape(len(y), *features))
            return np.array(got.reshape(y.shape).numpy())

    return rough_path(value, ts, knots)


def _not_a_function(answer: Answer, questions: list[str]) -> tuple[str, str, str]:
    others = f" (and {', '.join(q for q in questions if q != answer.question)})" if len(questions) > 1 else ""
    return (
        f"the field is not a function of (t, y, parameters): at t = {answer.t:.6g} its answer "
        f"{answer.question}{others} is another one, by {answer.gap:.2g} of its size",
        CAUSES[answer.question],
        "module.eval() for dropout and batch normalisation; keep nothing between calls: compute from t, y and "
        "self.weight in forward, and write into new tensors",
    )


def _kept(names: tuple[str, ...]) -> tuple[str, str, str]:
    return (
        f"no number that the parameters {', '.join(names)} are given changes the field, though they take part in it",
        "a weight that was cached at an earlier call, on the module or in a global, beside a zero times the true one",
        f"self.{names[0]} itself in forward, or {names[0]}.requires_grad_(False) if it is unused",
    )


def _another_derivative(seen: DerivativesSeen) -> tuple[str, str, str]:
    assert seen.worst is not None
    worst, off = seen.worst.sample, [s.t for s in seen.off]
    along = f" in the direction of {', '.join(seen.worst.along[:4])}" if seen.worst.along else ""
    return (
        f"the derivative of the field by automatic differentiation is off by {worst.defect:.2g} of its size (±"
        f"{worst.bar:.1g}) from that of its values, at t = {worst.t:.6g}{along}; seen at {len(set(off))} of "
        f"{len(seen.judged)} random times, from t = {min(off):.6g} to {max(off):.6g}",
        "detach(), .data, .item() or no_grad() inside forward, perhaps in a branch on t or y, or a custom backward "
        "that is not the derivative of its forward",
        "forward without these, torch.autograd.gradcheck for a custom backward; or Problem(...) with a numpy formula "
        "of the field, to have it judged",
    )


def _coarse() -> tuple[str, str, str]:
    return (
        "the values of the field do not change when t, y and parameters change in their tenth digit",
        "float32 inside, t.float() or y.float() with a cast back, or rounding",
        "t.to(y.dtype) and constants of y.dtype in forward, and no .float() or round() inside it",
    )
