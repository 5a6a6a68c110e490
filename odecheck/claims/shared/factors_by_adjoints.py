"""Kronecker factors of the layers of a large field, along the reference's own solution and adjoints.

A = E ∫ z zᵀ dt and B = E Σ_i ∫ g_i g_iᵀ dt, with z what enters a layer and g_i = (∂F/∂h)ᵀ q_i. The reference follows y,
and q_i backwards for each factor y_i of Φ_yy; z and g come from one call of the module at each node of a quadrature.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from odecheck_reference import Bounded, Problem
from odecheck_reference.bounded import Array
from odecheck_reference.by_adjoint import nodes
from odecheck_reference.fields import pull
from odecheck_reference.path import Path, path
from torch import Tensor, nn

from odecheck.errors import NotApplicable
from odecheck.subject import tensor

from .terminal import factor_rows

# relative tolerances of two runs, and into how many panels each step is divided
RUNS = ((1e-10, 2), (1e-9, 1))


def factors_by_adjoints(module: nn.Module, layers: Callable[[nn.Module], list[nn.Linear]], ended: Problem) -> Bounded:
    """All A and B of a module's layers, one after the other, flat.

    Args:
        module: The field, called as module(t, y).
        layers: Its layers, in order.
        ended: The problem, whose loss looks at the last time alone.

    Returns:
        The factors, with the distance of two runs as their bar.

    Raises:
        NotApplicable: A layer is not called once for each sample.
        OutOfBudget: The solution or an adjoint cannot be followed.
    """
    sharp, other = (_run(module, layers(module), ended, rtol, pieces) for rtol, pieces in RUNS)
    bars = [
        np.full(a.size, 3 * float(np.max(np.abs(a - b))) + 1e-13 * float(np.max(np.abs(a))))
        for a, b in zip(sharp, other, strict=True)
    ]
    return Bounded(np.concatenate([a.ravel() for a in sharp]), {"quadrature": np.concatenate(bars)})


def _run(module: nn.Module, layers: list[nn.Linear], ended: Problem, rtol: float, pieces: int) -> list[Array]:
    shape, theta = ended.y0.shape, ended.theta

    def f(t: float, y: Array) -> Array:
        return ended.field.jet(t, y.reshape(shape), theta, 0).value.ravel()

    along = path(f, ended.y0.ravel(), ended.ts[[0, -1]], rtol=rtol, breaks=ended.breaks)

    def rate(t: float, q: Array) -> Array:
        return -pull(ended.field, t, along(t).reshape(shape), theta, q.reshape(shape)).y.ravel()

    rows = factor_rows(ended.loss, along.at_times[-1].reshape(shape))
    some = [rows[:, i].ravel() for i in range(rows.shape[1]) if rows[:, i].any()]
    back = [path(rate, row, ended.ts[[-1, 0]], rtol=rtol, breaks=ended.breaks) for row in some]
    sums: list[Array] = []
    for lo, hi in along.panels:
        for a, b in pairwise(np.linspace(lo, hi, pieces + 1).tolist()):
            for t, weight in nodes(a, b):
                one = _at(module, layers, t, tensor(along(t).reshape(shape)), _states(back, t, shape))
                scaled = [abs(weight) / ended.batch * x for x in one]
                sums = [x + y for x, y in zip(sums, scaled, strict=True)] if sums else scaled
    return sums


def _states(back: list[Path], t: float, shape: tuple[int, ...]) -> list[Tensor]:
    return [tensor(q(t).reshape(shape)) for q in back]


def _at(module: nn.Module, layers: list[nn.Linear], t: float, y: Tensor, qs: list[Tensor]) -> list[Array]:
    """z zᵀ and Σ_i g_i g_iᵀ of each layer at one time, summed over the batch."""
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
    found = list[Array]()
    for j, layer in enumerate(layers):
        z = seen[layer][0].detach()
        z = torch.cat([z, torch.ones_like(z[:, :1])], 1) if layer.bias is not None else z
        g = torch.cat([one[j] for one in pulled])
        found += [(z.T @ z).numpy(), (g.T @ g).numpy()]
    return found
