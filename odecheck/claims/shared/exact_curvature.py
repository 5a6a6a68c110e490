"""Integrals along the reference's own solution: Kronecker factors and exact blocks of layers (SNOPT-6 to SNOPT-9).

The solution and the state transition matrix at Gauss–Legendre nodes give z(t) and q_i(t) without any adjoint solve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from odecheck_reference import Bounded, Problem
from odecheck_reference.bounded import Array
from odecheck_reference.first_order import is_large
from odecheck_reference.flow import Trajectory, bounded
from odecheck_reference.looked import kept
from odecheck_reference.losses import Linear as LinearLoss
from torch import Tensor, nn

from odecheck.engines.own import Closed
from odecheck.errors import NotApplicable
from odecheck.instruments.unit_of_work import kept_in_unit
from odecheck.solvers import FixedStep
from odecheck.subject import Subject, tensor

from .factors_by_adjoints import factors_by_adjoints
from .observed_curvature import layers_of
from .terminal import factor_rows

NODES = (16, 24)


def along_reference(subject: Subject, ended: Problem, ts: Array, run: Trajectory) -> list[list[tuple[Array, Array]]]:
    """For each of the run's times and each layer: z̃ (batch, columns) and g_i (batch, rank, outputs)."""
    assert run.first is not None
    d = ended.field.state
    module = replace(subject, around=()).module(ended)
    layers = layers_of(module)
    transition = run.first[..., :d]
    end = np.swapaxes(transition[-1], 1, 2) @ np.swapaxes(factor_rows(ended.loss, run.y[-1]), 1, 2)
    found: list[list[tuple[Array, Array]]] = []
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def see(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if layer in seen or output.shape[:-1] != (ended.batch,):
            raise NotApplicable("a layer is not called once for each sample")
        seen[layer] = (inputs[0], output)

    handles = [layer.register_forward_hook(see) for layer in layers]
    try:
        for t, y, x in zip(ts, run.y, transition, strict=True):
            q = np.swapaxes(np.linalg.solve(np.swapaxes(x, 1, 2), end), 1, 2)
            seen.clear()
            value = module(tensor(np.asarray(t, dtype=np.float64)), tensor(y).requires_grad_())
            outputs = [seen[layer][1] for layer in layers if layer in seen]
            pulled = [
                torch.autograd.grad(value, outputs, torch.tensor(q[:, i]), retain_graph=True, allow_unused=True)
                for i in range(q.shape[1])
            ]
            at: list[tuple[Array, Array]] = []
            for j, layer in enumerate(m for m in layers if m in seen):
                z = seen[layer][0].detach().numpy()
                z = np.concatenate([z, np.ones((len(z), 1))], 1) if layer.bias is not None else z
                gs = [np.zeros(outputs[j].shape) if p[j] is None else p[j].numpy() for p in pulled]
                at.append((z, np.stack(gs, 1)))
            found.append(at)
    finally:
        for handle in handles:
            handle.remove()
    return found


@kept(32)
def at_nodes(ended: Problem, nodes: int) -> tuple[Problem, Array]:
    """The problem with its ends and Gauss–Legendre nodes as times, and the weights of these."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    length = ended.ts[-1] - ended.ts[0]
    ts = np.concatenate([ended.ts[:1], ended.ts[0] + (x + 1) / 2 * length, ended.ts[-1:]])
    dense = ended.with_(ts=ts, loss=LinearLoss(np.zeros((len(ts), *ended.y0.shape))))
    return dense, np.concatenate([[0.0], abs(length) / 2 * w, [0.0]])


def true_factors(subject: Subject, ended: Problem) -> Bounded:
    """All A and B of a field's layers, one after the other, flat, from the reference."""
    return _kept_factors(replace(subject, solver=FixedStep("rk4"), engine=Closed(), around=(), label=""), ended)


@kept_in_unit
def _kept_factors(subject: Subject, ended: Problem) -> Bounded:
    if is_large(ended):
        return factors_by_adjoints(replace(subject, around=()).module(ended), layers_of, ended)

    def at(nodes: int) -> Bounded:
        dense, weights = at_nodes(ended, nodes)

        def integrals(run: Trajectory) -> Array:
            along = along_reference(subject, ended, dense.ts, run)
            parts: list[Array] = []
            for j in range(len(along[0])):
                z = np.stack([x[j][0] for x in along])
                g = np.stack([x[j][1] for x in along])
                parts.append(np.einsum("t,tba,tbc->ac", weights, z, z).ravel() / ended.batch)
                parts.append(np.einsum("t,tbia,tbic->ac", weights, g, g).ravel() / ended.batch)
            return np.concatenate(parts)

        return bounded(dense, 1, integrals)

    coarse, fine = (at(n) for n in NODES)
    gap = np.abs(fine.value - coarse.value)
    return Bounded(fine.value, {**fine.budget, "quadrature": np.full_like(gap, np.max(gap))})


def true_blocks(subject: Subject, ended: Problem) -> Callable[[Trajectory], list[Array]]:
    """The gradients of (W, b) of single samples and factors, (batch · rank, outputs, columns) for each layer."""
    module = subject.module(ended)
    offsets: dict[int, int] = {}
    total = ended.field.state
    for parameter in module.parameters():
        offsets[id(parameter)] = total
        total += parameter.numel()

    def of(run: Trajectory) -> list[Array]:
        assert run.first is not None
        p = factor_rows(ended.loss, run.y[-1]) @ run.first[-1]
        found: list[Array] = []
        for layer in layers_of(module):
            o, i = layer.weight.shape
            w, b = (offsets[id(x)] if x is not None else 0 for x in (layer.weight, layer.bias))
            weight = p[:, :, w : w + o * i].reshape(-1, o, i)
            bias = p[:, :, b : b + o].reshape(-1, o, 1)[:, :, : int(layer.bias is not None)]
            found.append(np.concatenate([weight, bias], 2))
        return found

    return of


def block(gradients: Array, batch: int) -> Array:
    """The Gauss–Newton block of a layer, from the gradients of each sample: (samples, …) ↦ (entries, entries)."""
    rows = gradients.reshape(len(gradients), -1)
    return rows.T @ rows / batch


def first_run(ended: Problem, of: Callable[[Trajectory], list[Array]]) -> list[Array]:
    """Something of the first of the reference's runs, without an error bar."""
    kept: list[list[Array]] = []

    def keep(run: Trajectory) -> Array:
        kept.append(of(run))
        return np.zeros(1)

    bounded(ended, 1, keep)
    return kept[0]
