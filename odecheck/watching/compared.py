"""What a solve got, beside what it should have got: errors by name, each relative to its own scale."""

from __future__ import annotations

import numpy as np
import torch

from .call import Call
from .field64 import Array, Field64
from .promise import kept
from .repeat import Repeat, array, real
from .row import Quantity, Row
from .settle import FINEST, SHARP, Truth

# a tensor's own scale is not taken smaller than this part of the largest gradient: below lies rounding
SMALLEST = {torch.float64: 1e-9, torch.float32: 1e-4}


def observed(call: Call, repeat: Repeat, f: Field64) -> dict[str, Array]:
    """What the step got, by the names of `settle.parts_of`: its own backward result where it is known."""
    assert call.solution is not None and call.held is not None
    out = {"solution": array(call.rows_of(call.solution))}
    if call.event_time is not None:
        out["event time"] = np.array([call.event_time - f.times[0]])
    if not repeat.has_gradients:
        return out
    assert repeat.y0 is not None
    y0 = repeat.y0 if call.real_y0 is None else call.real_y0.double()
    if any(call.starts_ask) or call.real_y0 is not None:
        out["dL/dy0"] = array(y0)
    if call.times_ask:
        t = repeat.t if call.real_t is None else call.real_t.double()
        given = np.zeros(len(call.times)) if t is None else array(t.double()).copy()
        if not call.start_time_asks:
            given[0] = 0.0  # it goes nowhere
        out["dL/dt"] = given[:1] if call.posed.event else given
    for key, kept_ in call.held.tensors.items():
        if kept_.name in f.leaves:
            g = call.real.get(key, repeat.theta.get(kept_.name))
            out[kept_.name] = array(real(torch.zeros_like(kept_.copy)) if g is None else real(g))
    return out


def scales(truth: Truth, dtype: torch.dtype) -> dict[str, float]:
    """The scale of each number's group: its own, and of gradients not below rounding of the largest one."""
    exact = truth.parts()
    own = {name: float(np.abs(x).max(initial=0.0)) for name, x in exact.items()}
    top = max([own[n] for n in truth.answer.theta] or [0.0])
    smallest = SMALLEST.get(dtype, 1e-4)
    return {n: max(s, smallest * top if n in truth.answer.theta else 0.0) or 1.0 for n, s in own.items()}


def aims(truth: Truth, got: dict[str, Array]) -> dict[str, float]:
    """The bar that is wanted for each name: a tenth of the error that it stands beside."""
    exact, sizes = truth.parts(), scales(truth, torch.float64)
    wanted = {
        n: max(SHARP * float(np.abs(x - exact[n]).max(initial=0.0)), FINEST * sizes[n])
        for n, x in got.items()
        if n in exact
    }
    for name, like in (("dL/dt", "dL/dy0"), ("event time", "solution")):  # which may be right by chance
        if name in wanted and like in wanted:
            wanted[name] = max(wanted[name], wanted[like] / sizes[like] * sizes[name])
    return wanted


def quantities(f: Field64, truth: Truth, got: dict[str, Array]) -> dict[str, Quantity]:
    """How far off each result is, and its bar."""
    exact, sizes = truth.parts(), scales(truth, f.call.start[0].dtype)
    out: dict[str, Quantity] = {}
    for name in ("solution", "event time", "dL/dy0", "dL/dt"):
        if name in got and name in exact:
            off = float(np.abs(got[name] - exact[name]).max(initial=0.0))
            out[name] = Quantity(name, off / sizes[name], truth.bars[name] / sizes[name])
    each = [
        (float(np.abs(got[n] - x).max(initial=0.0)) / sizes[n], truth.bars[n] / sizes[n], n)
        for n, x in truth.answer.theta.items()
        if n in got
    ]
    if each:
        error, _, worst = max(each)
        out["dL/dtheta"] = Quantity("dL/dtheta", error, max(bar for _, bar, _ in each), worst)
    return out


def keep_promises(row: Row, truth: Truth, got: dict[str, Array], errors: dict[str, float]) -> None:
    """What was used of each promise, and the verdict on it. errors: what is promised, root mean square, by name."""
    exact = truth.parts()
    for name, quantity in row.quantities.items():
        names = [n for n in truth.answer.theta if n in got] if name == "dL/dtheta" else [name]
        if name not in errors:
            continue
        off = np.concatenate([(got[n] - exact[n]).ravel() for n in names])
        if name == "solution":  # at the worst of the times
            rms = float(np.sqrt((off.reshape(exact[name].shape) ** 2).mean(1)).max())
        else:
            rms = float(np.sqrt((off**2).mean()))
        quantity.used, quantity.judgement = kept(rms, max(truth.bars[n] for n in names), errors[name])


def direction_off(got: dict[str, Array], exact: dict[str, Array]) -> float:
    """‖gradients − truth‖ / ‖truth‖, all of them together; of the solution where there are none."""
    names = [n for n in got if n in exact and n not in ("solution", "event time", "dL/dt")] or ["solution"]
    off = sum(float(((got[n] - exact[n]) ** 2).sum()) for n in names)
    return float(np.sqrt(off / (sum(float((exact[n] ** 2).sum()) for n in names) or 1.0)))


def relative(x: Array, exact: Array) -> float:
    """The largest difference, over the largest number."""
    return float(np.abs(x - exact).max() / (np.abs(exact).max() or 1.0))
