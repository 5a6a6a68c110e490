"""What automatic differentiation makes of a field: what a model without a second formula can still be asked.

Where the reference calls a model back into torch, it takes torch's derivatives for true. A field that detaches part of
its state, or brings a derivative of its own, would pass every later claim; its values give it away.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference.bounded import Array
from torch import nn

from odecheck.claim import claim
from odecheck.mutants import derivatives as wrong
from odecheck.subject import Subject, tensor, to_numpy

from .solution import EPS, module_jet

LEVELS = 4
LONGEST = (2.0**-6, 2.0**-9, 2.0**-12)  # the longest step of each attempt; a kink or a fast wave wants a short one


@claim(
    "SOL-1.1",
    source="the field's own values",
    resolution=1e-6,
    mutants=[wrong.DETACHED_STATE, wrong.TRANSPOSED_JACOBIAN, wrong.DETACHED_TIME],
)
def derivatives_are_of_the_values(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """What automatic differentiation gives of the field, in t, y and theta, are the derivatives of the field's values.

    Observed: F_t, and F_y and F_theta in random directions, at the reference's states. Expected: central differences of
    the values alone, extrapolated to step zero (Richardson) over four halvings. Their bar is four times what the last
    halving changed, what the slopes to the two sides differ by in the limit (at a kink there is no derivative), and the
    round-off of the shortest step; of three longest steps the one of the smallest bar counts.
    """
    states = solution(problem).value
    module = subject.module(problem)
    rng = np.random.default_rng(0)
    of_y, of_theta = rng.standard_normal(problem.y0.shape), rng.standard_normal(problem.field.params)

    def moved(h: float) -> Problem:
        return problem.with_(theta=problem.theta + h * of_theta)

    observed, expected, bars = [], [], []
    for t, y in zip(problem.ts, states, strict=True):
        jet = module_jet(module, float(t), y)
        d = y.shape[1]
        f_y = np.einsum("bij,bj->bi", jet[..., 2 : 2 + d], of_y)
        observed.append(np.stack([jet[..., 1], f_y, jet[..., 2 + d :] @ of_theta]))
        size = max(1.0, float(np.max(np.abs(y))))
        differences = (
            _slope(lambda h, t=t, y=y: _values(module, t + h, y)),
            _slope(lambda h, t=t, y=y, size=size: _values(module, t, y + h * size * of_y), size),
            _slope(lambda h, t=t, y=y: _values(subject.module(moved(h)), t, y)),
        )
        expected.append(np.stack([value for value, _ in differences]))
        bars.append(np.stack([np.full(y.shape, bar) for _, bar in differences]))
    got, truth, bar = np.stack(observed), np.stack(expected), np.stack(bars)
    values = np.stack([_values(module, float(t), y) for t, y in zip(problem.ts, states, strict=True)])
    # each kind of derivative is relative to its own size, or to the field's where it is smaller still
    floor = float(np.max(np.abs(values)))
    size = np.maximum(np.maximum(np.max(np.abs(truth), axis=(0, 2, 3)), floor), 1e-300)[:, None, None]
    roundoff = 1e3 * EPS * np.max(np.abs(got) / size)  # of the few dozen operations of the field's derivative
    return Bounded(got / size, {"roundoff": roundoff}), Bounded(truth / size, {"differences": bar / size})


def _values(module: nn.Module, t: float, y: Array) -> Array:
    with torch.no_grad():
        return to_numpy(module(torch.tensor(t, dtype=torch.float64), tensor(y)))


def _slope(values: Callable[[float], Array], size: float = 1.0) -> tuple[Array, float]:
    """d values(h · size) / d(h size) at h = 0, and its bar for all components; see the claim."""
    return min((_extrapolated(values, size, longest) for longest in LONGEST), key=lambda found: found[1])


def _extrapolated(values: Callable[[float], Array], size: float, longest: float) -> tuple[Array, float]:
    steps = [longest / 2.0**k for k in range(LEVELS)]
    centre, ends = values(0.0), [(values(h), values(-h)) for h in steps]
    slopes = [[(up - down) / (2 * h * size) for (up, down), h in zip(ends, steps, strict=True)]]
    # slope to the right less slope to the left: of odd powers of h for a smooth field, and a constant at a kink
    kinks = [(up - 2 * centre + down) / (h * size) for (up, down), h in zip(ends, steps, strict=True)]
    for k in range(1, LEVELS):
        slopes.append([b + (b - a) / (4.0**k - 1) for a, b in pairwise(slopes[-1])])
        kinks = [b + (b - a) / (2.0 ** (2 * k - 1) - 1) for a, b in pairwise(kinks)]
    ((final,), before) = slopes[-1], slopes[-2]
    changed = max(float(np.max(np.abs(final - estimate))) for estimate in before)
    kink = float(np.max(np.abs(kinks[0])))
    roundoff = 1e2 * EPS * max(float(np.max(np.abs(up))) for up, _ in ends) / (steps[-1] * size)
    bar = 4 * changed + kink + roundoff
    return final, bar if np.isfinite(bar) else np.inf
