"""Is a field's automatic differentiation the derivative of its values? Asked of values alone, in directions.

The truth and the solver differentiate through the same field: where its autograd lies, by a detach or a backward of its
own, both are wrong together and agree. So the field's values are differenced, in float64, at random times along the
solution, in a direction of everything at once; where that disagrees, each tensor is asked alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from odecheck_reference.path import OutOfBudget
from torch import Tensor

from .field64 import Along, Array, Field64

POINTS = 6
# times at which the graph is looked at for other branches: one that lasts longer than 1/LOOKS of the way is seen
LOOKS, BRANCHES = 96, 4
STEPS = 10.0 ** -np.arange(1, 9)
# a mismatch is one beyond this many times what differences leave uncertain, and beyond this part of its terms
SURE, SMALL = 10.0, 1e-6
# two steps with a hundred between them: one-sided slopes of a smooth function come closer by as much, at a kink not
NEAR, NEARER = 1e-3, 1e-5


@dataclass
class Lie:
    """A derivative that autograd gets wrong: in what (a name), what differences of values say, what autograd says."""

    name: str
    measured: float
    said: float
    own_backward: str


@dataclass
class _Point:
    """Variables at one time: t and y as leaves, beside the field's; a direction and a random cotangent."""

    ask: dict[str, Tensor]
    direction: dict[str, Tensor]
    cotangent: Tensor
    said: dict[str, float]
    grain: float
    own_backward: str


def lies(f: Field64, along: Along, *, in_time: bool, seed: int = 0) -> list[Lie]:
    """Where autograd and differences disagree, the worst three names; nothing for a right field.

    Args:
        f: the field.
        along: its solution.
        in_time: whether derivatives in t matter: a field may cut them off where nobody asks for dL/dt.
        seed: of times and directions.
    """
    draw = torch.Generator().manual_seed(seed)
    found: list[dict[str, Lie]] = []
    shares = [(i + float(torch.rand((), generator=draw))) / POINTS for i in range(POINTS)]
    for i, t in enumerate(_beside_branches(f, along, [f.at(share) for share in shares])):
        point = _point(f, t, along(t), draw, in_time, beside=i % 2 == 1)
        if point is not None and _wrong(f, point, list(point.ask)) is not None:
            alone = {name: lie for name in point.ask if (lie := _wrong(f, point, [name])) is not None}
            found.append({name: lie for name, lie in alone.items() if not _at_a_kink(f, point, name)})
    if len(found) < 2:  # a kink looks like a lie at one point, and not at another; a branch is asked twice
        return []
    names = [n for n in dict.fromkeys(n for alone in found for n in alone) if sum(n in alone for alone in found) > 1]
    worst = [
        max((alone[n] for alone in found if n in alone), key=lambda lie: abs(lie.measured - lie.said)) for n in names
    ]
    return sorted(worst, key=lambda lie: -abs(lie.measured - lie.said))[:3]


def _beside_branches(f: Field64, along: Along, times: list[float]) -> list[float]:
    """These times, and two of each branch of the field without two of them: of an `if t < ...` with a detach."""
    met = Counter(_branch(f, t, along(t)) for t in times)
    others: dict[tuple[str, ...], list[float]] = {}
    for i in range(LOOKS):
        t = f.at((i + 0.5) / LOOKS)
        shape = _branch(f, t, along(t))
        if met[shape] < 2:
            others.setdefault(shape, []).append(t)
    return times + [t for at in list(others.values())[:BRANCHES] for t in (at if len(at) == 1 else (at[0], at[-1]))]


def _branch(f: Field64, t: float, y: Array) -> tuple[str, ...]:
    """The operations of the field's graph: two branches of the code have different ones."""
    with torch.enable_grad():
        parts = [x.requires_grad_() for x in f.parts(f.vector(y))]
        out = f.value(f.time(t), [x.view_as(x) for x in parts])
    nodes = _nodes(out)
    reached = {id(getattr(node, "variable", None)) for node in nodes}
    ends = [str(i) for i, x in enumerate((*parts, *f.leaves.values())) if id(x) in reached]
    return (*sorted(node.name() for node in nodes), *ends)


def _point(f: Field64, t: float, y: Array, draw: torch.Generator, in_time: bool, *, beside: bool) -> _Point | None:
    def noise(x: Tensor) -> Tensor:
        return torch.randn(x.shape, generator=draw, dtype=torch.float64).to(x.device)

    state = f.vector(y)
    size = float(state.abs().max()) or 1.0
    state = state + (0.1 * size * noise(state) if beside else 0.0)
    length = abs(float(f.times[-1] - f.times[0]))
    ask = {"y": state.requires_grad_()}
    ask |= {"t": f.time(t).requires_grad_()} if in_time else {}
    direction = {"y": noise(state) * (state.detach().abs() + 0.1 * size)}
    direction |= {"t": f.time(0.1 * length)} if in_time else {}
    for name, x in f.leaves.items():
        if x.is_floating_point():
            own = x.detach().abs() + 0.1 * float(x.detach().square().mean().sqrt()) if x.numel() else x.detach()
            ask[name], direction[name] = x, noise(x) * (own + (1e-3 if not bool(x.detach().any()) else 0.0))
    try:
        with torch.enable_grad():
            out = f.value(ask.get("t", f.time(t)), f.parts(ask["y"].view_as(ask["y"])))
    except OutOfBudget:
        raise
    except Exception:  # beside the solution a field may refuse a state: that is no place of its
        if not beside:
            raise
        return None
    if not bool(torch.isfinite(out).all()):
        return None
    cotangent = noise(out)
    grads = [None] * len(ask)
    if out.requires_grad:
        grads = torch.autograd.grad(out, list(ask.values()), cotangent, allow_unused=True)
    said = {n: 0.0 if g is None else float((g * direction[n]).sum()) for n, g in zip(ask, grads, strict=True)}
    ask.setdefault("t", f.time(t))
    direction.setdefault("t", f.time(0.0))
    said.setdefault("t", 0.0)
    grain = 8 * np.finfo(float).eps * float((cotangent * out.detach()).abs().sum())
    return _Point(ask, direction, cotangent, said, grain, _own_backwards(out))


def _wrong(f: Field64, point: _Point, names: list[str]) -> Lie | None:
    """The lie in the direction of these names together, or None where autograd says what differences say."""
    said = sum(point.said[n] for n in names)
    size = sum(abs(point.said[n]) for n in names)
    slopes = np.array([(_at(f, point, names, h) - _at(f, point, names, -h)) / (2 * h) for h in STEPS])
    better = (100 * slopes[1:] - slopes[:-1]) / 99  # one column of Romberg's table, in h²
    blurs = np.abs(better - slopes[1:]) + point.grain / STEPS[1:]
    blurs[1:] = np.maximum(blurs[1:], 0.1 * np.abs(better[1:] - better[:-1]))
    blurs[~np.isfinite(blurs)] = np.inf
    best = int(np.argmin(blurs))
    measured, blur = float(better[best]), float(blurs[best])
    if not np.isfinite(blur):  # the field has no values around this point
        return None
    if abs(measured - said) <= SURE * blur + SMALL * max(size, abs(measured)):
        return None
    return Lie(names[0], measured, said, point.own_backward)


def _at_a_kink(f: Field64, point: _Point, name: str) -> bool:
    """Whether values have a kink or a jump at the very point, in the direction of a name, and so no derivative there.

    A layer that begins at zero in front of a ReLU is there at every time, whatever the state.
    """
    here = _at(f, point, [name], 0.0)
    far, near = (abs(_at(f, point, [name], h) + _at(f, point, [name], -h) - 2 * here) / h for h in (NEAR, NEARER))
    return near > max(0.5 * far, SURE * point.grain / NEARER)


def _at(f: Field64, point: _Point, names: list[str], h: float) -> float:
    """⟨cotangent, f⟩ with the named variables moved by h along the direction; NaN where the field refuses these."""
    with torch.no_grad():
        kept = {n: point.ask[n].detach().clone() for n in names}
        try:
            for n in names:
                point.ask[n].data.add_(h * point.direction[n])
            t, y = point.ask["t"].detach().clone(), f.parts(point.ask["y"].detach().clone())
            with torch.set_grad_enabled(not f.quiet):
                out = f.value(t, y)
            return float((out.detach() * point.cotangent).sum())
        except OutOfBudget:
            raise
        except Exception:
            return float("nan")
        finally:
            for n, x in kept.items():
                point.ask[n].data.copy_(x)


def _own_backwards(out: Tensor) -> str:
    """The autograd functions that the field brings along."""
    own = (node for node in _nodes(out) if isinstance(node, torch.autograd.function.BackwardCFunction))
    return ", ".join(sorted({type(node).__name__.removesuffix("Backward") for node in own}))


def _nodes(out: Tensor) -> list[Any]:
    """The graph behind a value, no more than 10,000 nodes of it."""
    seen: dict[Any, None] = {}
    todo: list[Any] = [out.grad_fn]
    while todo and len(seen) < 10_000:
        node = todo.pop()
        if node is not None and node not in seen:
            seen[node] = None
            todo += [n for n, _ in node.next_functions]
    return list(seen)
