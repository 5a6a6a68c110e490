"""Where a backward solve takes the state anew from the forward one: it cannot be followed back under contraction."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from odecheck.ode.arguments import Start
from odecheck.ode.fields import Leaves
from odecheck.ode.stepping import SolveError, integrate
from odecheck.solvers import ADAPTIVE

DRIFT = 100.0  # how far the state may be off at the start, in units of its tolerance, before restarts are made
STEPS = 4  # how many times the forward solve's longest-step count the way back may take


def with_restarts(problem: Start, t: Tensor, y: Leaves) -> tuple[Tensor, list[int]]:
    """The times at which a backward solve has to take the forward solve's state, and which of them are t.

    Backwards, what contracts expands: an error δ of the state at T is δ exp(kτ) at T − τ, while the adjoint is
    a exp(−kτ). Their product does not decay, and the derivative ∫ a·F_θ dt is off by δ ∫ |a|‖F_θy‖ exp(kτ) dτ, of the
    size of the *tolerance* times T: without bound against second derivatives of the size 1/k³. Restarted every h, δ is
    at most tolerance × exp(kh), and the error tolerance × exp(kh) / k relative to the same a. The longest step of an
    explicit solver has k h of at most its interval of stability, so h is that step.

    The state alone is solved back first; restarts are made where it misses the start by more than 100 tolerances, or
    takes many more steps than on the way there. Restarts keep one state for each longest step in memory.

    Args:
        problem: what is solved, once: its pace is known.
        t: (times,).
        y: the states at these times.

    Returns:
        The times, with those of t among them, and the indices of t.
    """
    flow, h = problem.flow, problem.flow.pace.first_step
    every = list(range(len(t)))
    if flow.backward.method not in ADAPTIVE or h is None:
        return t, every
    pairs = list(pairwise(t))
    counts = [max(1, math.ceil(float(abs(b - a)) / (2 * h))) for a, b in pairs]
    if max(counts) == 1 or _comes_back(problem, t, y, STEPS * max(counts) + 20):
        return t, every
    pieces, where = [t[:1]], [0]
    for (a, b), count in zip(pairs, counts, strict=True):
        pieces.append(a + (b - a) * torch.arange(1, count + 1, dtype=t.dtype, device=t.device) / count)
        pieces[-1][-1] = b
        where.append(where[-1] + count)
    return torch.cat(pieces), where


def _comes_back(problem: Start, t: Tensor, y: Leaves, steps: int) -> bool:
    flow = problem.flow
    limited = replace(flow.backward, options={"max_num_steps": steps, **flow.backward.options, "norm": None})
    rtol, atol = limited.rtol, limited.atol
    for i in range(len(t) - 1, 0, -1):
        try:
            back = integrate(flow.field, t[[i, i - 1]], [x[i] for x in y], problem.inputs, limited, flow.pace)
        except SolveError:
            return False
        for x, found in zip(y, back, strict=False):
            if bool(((found[-1] - x[i - 1]).abs() > DRIFT * (atol + rtol * x.abs().amax())).any()):
                return False
    return True
