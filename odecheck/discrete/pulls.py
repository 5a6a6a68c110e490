"""Vector-Jacobian products for many directions at once, and when two results count as equal."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# numbers of one layer's values that stay in the cache together
CACHE = 131072


def pull(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], weights: Sequence[Tensor], graph: bool = False
) -> list[Tensor]:
    """Vector-Jacobian products for many directions: weights (directions, *output) → list of (directions, *input).

    Outputs that depend on nothing, and inputs that nothing depends on, give zeros.
    """
    used = [(x, w) for x, w in zip(outputs, weights, strict=True) if x.requires_grad]
    directions = len(weights[0])
    if not used:
        return [x.new_zeros(directions, *x.shape) for x in inputs]
    xs = [x for x, _ in used]

    def once(ws: list[Tensor], batched: bool) -> tuple[Tensor | None, ...]:
        return torch.autograd.grad(
            xs, list(inputs), ws, retain_graph=True, create_graph=graph, allow_unused=True, is_grads_batched=batched
        )

    def group(first: int, size: int) -> list[Tensor]:
        try:
            found = once([w[first : first + size] for _, w in used], True)
        except RuntimeError:  # a backward pass that vmap cannot batch: one direction after the other
            return _stacked([group_of_one(i) for i in range(first, min(first + size, directions))])
        return [_or_zeros(g, x, min(size, directions - first)) for g, x in zip(found, inputs, strict=True)]

    def group_of_one(i: int) -> list[Tensor]:
        return [_or_zeros(g, x, None) for g, x in zip(once([w[i] for _, w in used], False), inputs, strict=True)]

    numbers = max(x.numel() for x in (*outputs, *inputs))
    size = directions if inputs[0].device.type != "cpu" else max(1, CACHE // (8 * numbers))
    if size == 1 or directions == 1:
        return _stacked([group_of_one(i) for i in range(directions)])
    if size >= directions:
        return group(0, directions)
    groups = [group(first, size) for first in range(0, directions, size)]
    return [torch.cat(parts) for parts in zip(*groups, strict=True)]


def _stacked(columns: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [torch.stack(parts) for parts in zip(*columns, strict=True)]


def _or_zeros(g: Tensor | None, like: Tensor, directions: int | None) -> Tensor:
    if g is not None:
        return g
    return torch.zeros_like(like) if directions is None else like.new_zeros(directions, *like.shape)


def agree(a: Tensor, b: Tensor) -> bool:
    """Whether two results of the same computation in another order are equal to round-off."""
    return bool((a - b).abs().max() <= 3e3 * torch.finfo(a.dtype).eps * (1e-3 + b.abs().max()))
