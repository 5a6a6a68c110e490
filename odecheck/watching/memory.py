"""What a field keeps between its calls: the first time or state that it met, weights that have changed since."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .call import Call
from .kinds import Finding, finding
from .repeat import posed_again

# of a value: differences below this are rounding of differently ordered sums
ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-4}
# how far the state of another call is away, in its own size: no further than a solution goes
ELSEWHERE = 0.1
# and where the field refuses that
NEARBY = 1e-3


def value_at(call: Call, f: Any, t: Tensor, *, moved: float = 0.0) -> Tensor:
    """The value at t and the start, flat, with a graph as a solver that differentiates has it.

    moved: the part of its own size by which the start is moved, each number a little less than the one before.
    """
    with torch.enable_grad():
        out = f(t.clone(), call.posed.packed([_moved(y, moved) for y in call.start]))
    return torch.cat([x.detach().reshape(-1) for x in call.posed.parts(out)])


def _moved(y: Tensor, by: float) -> Tensor:
    if not by or not y.numel():
        return y.clone()
    size = float(y.abs().max()) or 1.0
    steps = torch.linspace(1, 0.5, y.numel(), dtype=y.dtype, device=y.device)
    return y + by * size * steps.view_as(y)


def distance(a: Tensor, b: Tensor) -> float:
    """The largest difference over the largest value."""
    if a.shape != b.shape:
        return float("inf")
    a, b = a.double(), b.double()
    return float((a - b).abs().max() / (b.abs().max() + 1e-300)) if not torch.equal(a, b) else 0.0


def remembers(call: Call, t: Tensor) -> Finding | None:
    """Whether a value at t is another one after calls at other times, or with another state."""
    with posed_again(call) as (f, _, _):
        fresh = value_at(call, f, t)
    rounding = ROUNDING.get(fresh.dtype, 1e-2)
    with posed_again(call) as (f, _, _):
        value_at(call, f, call.times[0])
        value_at(call, f, call.window[-1])
        later = value_at(call, f, t)
    if (far := distance(later, fresh)) > rounding:
        return finding(
            "remembers its first call",
            f"the field's value at t = {float(t):.4g} is another one after a call at t = {float(call.times[0]):.4g} "
            f"than before ({far:.1e}): it keeps the time or something made from it (an `if self.x is None:`); compute "
            "it anew in every call",
        )
    after, once_more = _after_another_state(call, t) or (fresh, fresh)
    if (far := distance(after, fresh)) <= rounding:
        return None
    if distance(once_more, after) > rounding:
        return finding(
            "depends on the number of calls",
            f"the field's value is another one after a call with another state than before ({far:.1e}), and yet "
            "another one in the next call: it keeps states of its calls, and a solver calls it where and as "
            "often as it likes; keep no state between calls",
        )
    return finding(
        "remembers its first call",
        f"the field's value is another one after a call with another state than before ({far:.1e}): it keeps the state "
        "of its first call or something made from it (statistics, an `if self.x is None:`), which no gradient sees; "
        "compute it before the solve, and give it to the field or put it into the state",
    )


def _after_another_state(call: Call, t: Tensor) -> tuple[Tensor, Tensor] | None:
    """Two values at t after a call with another state, as far away as the field takes one; None where it takes none."""
    for moved in (ELSEWHERE, -ELSEWHERE, NEARBY, -NEARBY):
        with posed_again(call) as (f, _, _):
            try:
                value_at(call, f, call.times[0], moved=moved)
            except Exception:  # it may check its state, which is another one than a solution has
                continue
            return value_at(call, f, t), value_at(call, f, t)
    return None


def caches(call: Call, t: Tensor) -> Finding | None:
    """Whether what was computed in the first call from the parameters is used after they have changed."""

    def changed(leaves: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for x in leaves.values():
                x.mul_(1.01).add_(1e-3 * (x.abs().mean() + 1e-3) if x.is_floating_point() and x.numel() else 0.0)

    with posed_again(call) as (f, _, leaves):
        changed(leaves)
        fresh = value_at(call, f, t)
    with posed_again(call) as (f, _, leaves):
        value_at(call, f, t)
        changed(leaves)
        later = value_at(call, f, t)
    far = distance(later, fresh)
    if far <= ROUNDING.get(fresh.dtype, 1e-2):
        return None
    return finding(
        "caches its weights",
        f"the field goes on with weights of its first call after its parameters have changed (values are off by "
        f"{far:.1e} where parameters moved by 1 %): a tensor made from parameters is kept in an attribute; make it "
        "anew in every call",
    )
