"""Kronecker factors of the layers of a field, along the reference's own solution and adjoints (SNOPT-6 to SNOPT-9).

A = E ∫ z zᵀ dt and B = E Σ_i ∫ g_i g_iᵀ dt, with z what enters a layer and g_i = (∂F/∂h)ᵀ q_i. The reference follows y
forwards, and q_i backwards for each factor y_i of Φ_yy, twice: by DOP853, and by VODE's Adams formulas. Gauss nodes lie
on the steps that were needed, so that a long or a sharp solution has as many of them as it takes. z and g come from the
formulas of the numpy field where the layers are those of a dense network, else from a call of the module at each node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference.bounded import Array
from odecheck_reference.by_adjoint import adams_states, nodes
from odecheck_reference.fields import Mlp, pull
from odecheck_reference.path import Path, path
from torch import Tensor, nn

from odecheck.engines.own import Closed
from odecheck.errors import NotApplicable
from odecheck.instruments.unit_of_work import kept_in_unit
from odecheck.solvers import FixedStep
from odecheck.subject import Subject, tensor

from .observed_curvature import layers_of
from .terminal import factor_rows

# relative tolerances of DOP853 and of Adams, and into how many panels each divides a step of DOP853
DOP853, ADAMS = (1e-13, 2), (1e-11, 1)
# relative; more is no rounding, but a feature that these solutions stepped over
ANOTHER = 1e-9
# of a layer at one time: what enters it (batch, columns), and g_i for each factor (batch, outputs)
Calls = list[tuple[Array, list[Array]]]


@dataclass
class Along:
    """The solution and the adjoints of a problem whose loss looks at its last time alone.

    Attributes:
        ended: the problem.
        module: its field in torch, called as module(t, y).
        y: the solution.
        qs: an adjoint for each factor of Φ_yy that is not zero.
    """

    ended: Problem
    module: nn.Module
    y: Path
    qs: list[Path]

    @classmethod
    def of(cls, ended: Problem, module: nn.Module, rtol: float = DOP853[0]) -> Along:
        """By DOP853. Raises OutOfBudget where the solution or an adjoint cannot be followed."""
        y = path(lambda t, y: slope(ended, t, y), ended.y0.ravel(), ended.ts[[0, -1]], rtol=rtol, breaks=ended.breaks)
        rate = _backwards(ended, y)
        ends = ended.ts[[-1, 0]]
        return cls(ended, module, y, [path(rate, q, ends, rtol=rtol, breaks=ended.breaks) for q in _starts(ended, y)])

    def panels(self, pieces: int) -> list[tuple[float, float]]:
        """The steps of that path which needed most, each in so many pieces; from one end to the other."""
        longest = max((self.y, *self.qs), key=lambda one: one.steps)
        return [piece for lo, hi in longest.panels for piece in pairwise(np.linspace(lo, hi, pieces + 1).tolist())]

    def calls(self, t: float) -> Calls:
        """z and g_i of each layer at one time."""
        return calls(self.ended, self.module, t, self.y(t), [q(t) for q in self.qs])


def slope(ended: Problem, t: float, y: Array) -> Array:
    """The numpy field, on flat states."""
    return ended.field.jet(t, y.reshape(ended.y0.shape), ended.theta, 0).value.ravel()


def _backwards(ended: Problem, y: Path) -> Callable[[float, Array], Array]:
    shape = ended.y0.shape
    return lambda t, q: -pull(ended.field, t, y(t).reshape(shape), ended.theta, q.reshape(shape)).y.ravel()


def _starts(ended: Problem, y: Path) -> list[Array]:
    """The factors of Φ_yy that are not zero, flat."""
    rows = factor_rows(ended.loss, y.at_times[-1].reshape(ended.y0.shape))
    return [rows[:, i].ravel() for i in range(rows.shape[1]) if rows[:, i].any()]


def true_factors(subject: Subject, ended: Problem) -> Bounded:
    """All A and B of a field's layers, one after the other, flat.

    Args:
        subject: whose field it is; neither its solver nor its engine is asked.
        ended: the problem, whose loss looks at the last time alone.

    Returns:
        The factors. Budget: three times the distance of the two families, the largest within a factor. Where the
        solution is another one than that of the scanned reference by more than ANOTHER, nothing is known; by less,
        twice as much, relative to the factor: A is quadratic in the state.

    Raises:
        NotApplicable: a layer is not called once for each sample.
        OutOfBudget: the solution or an adjoint cannot be followed.
    """
    return _kept(replace(subject, solver=FixedStep("rk4"), engine=Closed(), around=(), label=""), ended)


@kept_in_unit
def _kept(subject: Subject, ended: Problem) -> Bounded:
    module = subject.module(ended)
    along = Along.of(ended, module)
    one, adams = _by_dop853(along), _by_adams(along)
    families = [
        np.full(a.size, 3 * float(np.max(np.abs(a - b))) + 1e-13 * float(np.max(np.abs(a))))
        for a, b in zip(one, adams, strict=True)
    ]
    scanned = solution(ended)
    size = max(float(np.max(np.abs(scanned.value[-1]))), 1e-300)
    off = float(np.max(np.abs(along.y.at_times[-1] - scanned.value[-1].ravel()) - scanned.radius[-1].ravel())) / size
    other = np.inf if off > ANOTHER else 2 * max(off, 0.0)
    beside = [np.full(a.size, other * max(float(np.max(np.abs(a))), 1e-300)) for a in one]
    return Bounded(
        np.concatenate([a.ravel() for a in one]),
        {"families disagree": np.concatenate(families), "another solution": np.concatenate(beside)},
        looked_at=scanned.looked_at,
    )


def _by_dop853(along: Along) -> list[Array]:
    sums: list[Array] = []
    for lo, hi in along.panels(DOP853[1]):
        for t, weight in nodes(lo, hi):
            sums = _added(sums, along.calls(t), weight / along.ended.batch)
    return sums


def _by_adams(along: Along) -> list[Array]:
    """Other formulas for y and the adjoints, and other nodes."""
    ended, (rtol, pieces) = along.ended, ADAMS
    each = [node for lo, hi in along.panels(pieces) for node in nodes(lo, hi)]
    each.sort(key=lambda node: node[0], reverse=bool(ended.ts[-1] < ended.ts[0]))
    times = [float(ended.ts[0]), *(t for t, _ in each), float(ended.ts[-1])]
    ys = adams_states(lambda t, y: slope(ended, t, y), ended.y0.ravel(), times, rtol, ended.breaks)
    coarse = path(lambda t, y: slope(ended, t, y), ended.y0.ravel(), ended.ts[[0, -1]], rtol=rtol, breaks=ended.breaks)
    rate = _backwards(ended, coarse)
    qs = [adams_states(rate, q, times[::-1], rtol, ended.breaks)[::-1] for q in _starts(ended, coarse)]
    sums: list[Array] = []
    for i, (t, weight) in enumerate(each, start=1):
        at = calls(ended, along.module, t, ys[i], [q[i] for q in qs])
        sums = _added(sums, at, weight / ended.batch)
    return sums


def _added(sums: list[Array], at: Calls, weight: float) -> list[Array]:
    """z zᵀ and Σ_i g_i g_iᵀ of each layer, summed over the batch, times a weight, added."""
    found = list[Array]()
    for z, gs in at:
        g = np.concatenate(gs)
        found += [abs(weight) * z.T @ z, abs(weight) * g.T @ g]
    return [x + y for x, y in zip(sums, found, strict=True)] if sums else found


def calls(ended: Problem, module: nn.Module, t: float, y: Array, qs: Sequence[Array]) -> Calls:
    """What enters each layer of the field, and the cotangents of what leaves it, at one time.

    Args:
        ended: the problem.
        module: its field in torch.
        t: a number.
        y: the states, flat.
        qs: cotangents of the slope, each flat.

    Returns:
        For each layer z (batch, columns), the last of them 1 if it has a bias, and g (batch, outputs) of each q.

    Raises:
        NotApplicable: a layer is not called once for each sample.
    """
    shape, layers = ended.y0.shape, layers_of(module)
    if isinstance(ended.field, Mlp) and _are_its_own(ended.field, layers):
        return _of_formulas(ended.field, t, y.reshape(shape), ended.theta, [q.reshape(shape) for q in qs])
    return _of_module(module, layers, t, tensor(y.reshape(shape)), [tensor(q.reshape(shape)) for q in qs])


def _are_its_own(field: Mlp, layers: Sequence[nn.Linear]) -> bool:
    wanted = list(pairwise(field.widths))
    return [(m.in_features, m.out_features) for m in layers] == wanted and all(m.bias is not None for m in layers)


def _of_formulas(field: Mlp, t: float, y: Array, theta: Array, qs: list[Array]) -> Calls:
    each = [field.calls(t, y, theta, q) for q in qs]
    return [
        (np.concatenate([z, np.ones_like(z[:, :1])], 1), [one[j][1] for one in each])
        for j, (z, _) in enumerate(each[0])
    ]


def _of_module(module: nn.Module, layers: Sequence[nn.Linear], t: float, y: Tensor, qs: list[Tensor]) -> Calls:
    seen = dict[nn.Module, tuple[Tensor, Tensor]]()

    def see(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if layer in seen or output.shape[:-1] != (len(y),):
            raise NotApplicable("a layer is not called once for each sample")
        seen[layer] = (inputs[0], output)

    handles = [layer.register_forward_hook(see) for layer in layers]
    try:
        value = module(torch.tensor(t, dtype=y.dtype), y.requires_grad_())
    finally:
        for handle in handles:
            handle.remove()
    if len(seen) < len(layers):
        raise NotApplicable("a layer takes no part in the field")
    outputs = [seen[layer][1] for layer in layers]
    pulled = [torch.autograd.grad(value, outputs, q, retain_graph=True, materialize_grads=True) for q in qs]
    found: Calls = []
    for j, layer in enumerate(layers):
        z = seen[layer][0].detach()
        z = torch.cat([z, torch.ones_like(z[:, :1])], 1) if layer.bias is not None else z
        found.append((z.numpy(), [one[j].numpy() for one in pulled]))
    return found
