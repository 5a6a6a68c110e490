"""Everything that values say of a field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from odecheck_reference.bounded import Array
from torch import nn

from .answers import Answer
from .circumstances import ask_circumstances
from .constants import constants, replaced
from .derivatives import COSTLY, ask_derivatives
from .function import ask_again, ask_function, without_influence
from .line import Asked
from .outside import ask_outside
from .points import Path, rough_path
from .seen import DerivativesSeen

SAMPLES = 256
# parameters whose influence is looked at, of those that the gradient never reached
MOST = 16


@dataclass(frozen=True)
class FieldSeen:
    """What was seen of a field.

    Attributes:
        derivatives: What was seen of them against its values.
        answers: Those to the same questions in other circumstances.
        without_influence: Parameters that can take any value without the field changing, where something that was
            kept of them may stand in their place.
    """

    derivatives: DerivativesSeen
    answers: tuple[Answer, ...]
    without_influence: tuple[str, ...]


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
        make: Makes the module, in float64, anew at each call and as it is before anything was asked of it; it is called
            as module(t, y) with t of shape () and y (rows, *features).
        ts: (times,), monotone.
        knots: (times, batch, state), states at ts.
        features: The shape of one row of the state as the module takes it; by default (state,).
        samples: Strata of [ts[0], ts[-1]] with a random time in each; a window of two strata is certainly looked at. By
            default 256, or 128 of a module with more than 10,000 parameters.
        seed: Of the places and directions.
        forward: Ask forward mode as well, which takes torch a second of CPU time to load.
        second: At every so many places also second derivatives; 0 for nowhere.

    Returns:
        What was seen, as data; of what is no function derivatives are not asked. The cost grows with the samples and
        with the cost of a call of the field, not with the number of its parameters otherwise.

    Raises:
        NoBackward: The backward pass of the field raised.
    """
    features = features or knots.shape[2:]
    path = path_of(make(), ts, knots, features)
    answers = ask_function(make, path, features, seed=seed)
    if any(a.off for a in answers):  # what is no function has no derivative
        return FieldSeen(ask_derivatives(make(), path, features, samples=0), answers, ())
    asked = Asked(make())
    samples = samples or (SAMPLES if len(asked.theta) <= COSTLY else SAMPLES // 2)
    derivatives = ask_derivatives(asked, path, features, samples=samples, seed=seed, forward=forward, second=second)
    if derivatives.worst is None:  # else no gradient is worth comparing
        answers += ask_circumstances(make, path, features, seed=seed)
    answers += ask_outside(make, path, features, seed=seed)
    again = ask_again(make, asked.restored(), path, features, seed=seed)
    t, y = torch.tensor(path.times[0]), torch.tensor(path.states[0]).reshape(len(path.states[0]), *features)
    kept = set(constants(make(), t, y)) if derivatives.untouched else set[str]()
    kept |= {name for name, p in make().named_parameters() if not p.numel()}
    untouched = [name for name in derivatives.untouched if name not in kept][:MOST]
    unread = without_influence(make(), path, features, untouched, seed=seed)
    unread = replaced(make(), unread, t, y) if unread else unread
    return FieldSeen(derivatives, (*answers, again), unread)


def path_of(module: nn.Module, ts: Array, knots: Array, features: tuple[int, ...]) -> Path:
    """A rough trajectory of a module through known states.

    Args:
        module: Called as module(t, y) with y (rows, *features), in float64.
        ts: (times,), monotone.
        knots: (times, batch, state), states at ts.
        features: The shape of one row of the state as the module takes it.

    Returns:
        A path through the knots.
    """

    def value(t: float, y: Array) -> Array:
        with torch.no_grad():
            got = module(torch.tensor(t, dtype=torch.float64), torch.tensor(y).reshape(len(y), *features))
            return np.array(got.reshape(y.shape).numpy())

    return rough_path(value, ts, knots)
