"""Second derivatives of fields too large for a matrix: whole vectors, drawn directions and those of each layer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from odecheck_reference import Bounded, Problem
from odecheck_reference.bounded import Array
from odecheck_reference.looked import kept, note
from odecheck_reference.products import gauss_newton_product, hessian_product
from torch import Tensor, nn

from odecheck.engines.products import products_of
from odecheck.refinement import ladder
from odecheck.subject import Subject, tensor, to_numpy

# layers that have a direction of their own, the largest ones first
MOST_LAYERS = 4
Parts = tuple[tuple[str, int], ...]


def layers(module: nn.Module) -> Parts:
    """The parts of theta by the module that holds them, in order: (name, how many numbers).

    Args:
        module: The field; its trainable parameters, flattened in order, are theta.
    """
    found = list[tuple[str, int]]()
    for name, p in module.named_parameters():
        if not p.requires_grad:
            continue
        owner = name.rpartition(".")[0]
        if found and found[-1][0] == owner:
            found[-1] = (owner, found[-1][1] + p.numel())
        else:
            found.append((owner, p.numel()))
    return tuple(found)


def directions(problem: Problem, parts: Parts) -> list[tuple[Array, Array]]:
    """Directions (v, u) in (y0, theta): one in everything, then one in each of the largest layers alone.

    Args:
        problem: Of which the sizes are taken.
        parts: What `layers` gave.

    Returns:
        Pairs of (batch, state) and (params,).
    """
    rng = np.random.default_rng(0)
    found = [(rng.standard_normal(problem.y0.shape), rng.standard_normal(problem.field.params))]
    ends = np.cumsum([0, *(size for _, size in parts)])
    largest = sorted(range(len(parts)), key=lambda i: -parts[i][1])[:MOST_LAYERS] if len(parts) > 1 else []
    for i in sorted(largest):
        u = np.zeros(problem.field.params)
        u[ends[i] : ends[i + 1]] = rng.standard_normal(parts[i][1])
        found.append((np.zeros_like(problem.y0), u))
    return found


def products(subject: Subject, problem: Problem, *, of: str, by: str) -> tuple[Bounded, Bounded]:
    """What a subject's products are, and what they have to be; each layer's part in units of its own size.

    Args:
        subject: Whose engine has products, or raises Unsupported.
        problem: On what.
        of: The truth, "hessian" or "gauss-newton".
        by: Whose products the subject is asked for, likewise.

    Returns:
        Observed and expected, (directions, batch · state + params).
    """
    products_of(subject.engine)
    parts = layers(replace(subject, around=()).module(problem))
    given = directions(problem, parts)
    truths = _truths(problem, parts, of)
    sizes = np.stack([_sizes(problem, parts, one.value) for one in truths])
    operation = "product" if by == "hessian" else "gauss_newton_product"

    def observe(s: Subject) -> Array:
        def act(module: nn.Module, y0: Tensor, ts: Tensor, loss: Callable[[Tensor], Tensor]) -> list[Array]:
            engine: Any = products_of(s.engine)
            shapes = [p.shape for p in module.parameters() if p.requires_grad]
            found = list[Array]()
            for v, u in given:
                wide = torch.zeros_like(y0)
                wide[:, : v.shape[1]] = tensor(v)
                split = tensor(u).split([shape.numel() for shape in shapes])
                of_params = [x.reshape(shape) for x, shape in zip(split, shapes, strict=True)]
                got = getattr(engine, operation)(module, s.solver, y0, ts, loss, wide, of_params)
                flat = [got[0][:, : v.shape[1]], *got[1:]]
                found.append(np.concatenate([to_numpy(x).ravel() for x in flat]))
            return found

        return np.stack(s.observe(problem, act)) / sizes

    expected = np.stack([one.value for one in truths]) / sizes
    bars = {"reference": np.stack([one.radius for one in truths]) / sizes}
    looked_at = max(float(one.looked_at or 0.0) for one in truths)
    note(looked_at)
    return ladder(subject, observe), Bounded(expected, bars, looked_at=looked_at)


def right_products(subject: Subject, problem: Problem, *, of: str, by: str) -> Bounded:
    """What products `by` are where they are right, in the directions and units in which `products` compares with `of`.

    Args:
        subject: Whose layers have a direction each.
        problem: On what.
        of: What they are compared with, "hessian" or "gauss-newton".
        by: Which products, likewise.

    Returns:
        (directions, batch · state + params).
    """
    parts = layers(replace(subject, around=()).module(problem))
    sizes = np.stack([_sizes(problem, parts, one.value) for one in _truths(problem, parts, of)])
    right = _truths(problem, parts, by)
    bars = {"reference": np.stack([one.radius for one in right]) / sizes}
    return Bounded(np.stack([one.value for one in right]) / sizes, bars)


@kept(8)
def _truths(problem: Problem, parts: Parts, of: str) -> tuple[Bounded, ...]:
    product = hessian_product if of == "hessian" else gauss_newton_product
    return tuple(product(problem, v, u) for v, u in directions(problem, parts))


def _sizes(problem: Problem, parts: Parts, value: Array) -> Array:
    """The size of each part of a product at each of its numbers; one that is nearly zero has that of the whole."""
    ends = np.cumsum([0, problem.y0.size, *(size for _, size in parts)])
    top = float(np.max(np.abs(value), initial=0.0)) or 1.0
    found = np.empty_like(value)
    for a, b in itertools.pairwise(ends):
        found[a:b] = max(float(np.max(np.abs(value[a:b]), initial=0.0)), 1e-3 * top)
    return found
