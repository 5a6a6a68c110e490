"""The field with a copy of its parameters for every row or every point: derivatives that are not summed over them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from .pulls import agree, pull
from .recursion import Blocks, Recursion
from .stage_points import Chunk, CoupledRows, Points, summed


def pull_by_row(points: Points, recursion: Recursion, weights: Tensor) -> list[Tensor]:
    """Σ over points of F_θᵀ weight, row by row: weights (D, P, *state) → list of (D, rows, *parameter).

    Every row is evaluated with a copy of the parameters of its own; values and the sum over rows have to agree
    with the whole batch, else every row is pulled through the whole batch by itself.

    Raises:
        CoupledRows: another row of the state enters a row's slope.
    """
    if not (isinstance(recursion, Blocks) and recursion.rows == points.shape[0]):
        raise CoupledRows("parameter adjoints row by row need independent rows, and the route 'blocks' to prove it")
    parts = zip(points.chunks, weights.split(points.size, dim=1), strict=True)
    found = [_chunk_by_row(points, chunk, weight) for chunk, weight in parts]
    return summed(found)


def _chunk_by_row(points: Points, chunk: Chunk, weight: Tensor) -> list[Tensor]:
    try:
        found = _own_copies(points, chunk, weight)
    except Exception:  # not a module, or nothing vmap can do: the way through the whole batch is always open
        found = None
    if found is not None:
        whole = pull([chunk.k], points.parameters, [weight[:1]])
        if all(agree(rows[0].sum(0), sums[0]) for rows, sums in zip(found, whole, strict=True)):
            return found
    return _row_after_row(points, chunk, weight)


def _module(points: Points) -> nn.Module:
    if not isinstance(points.field, nn.Module):
        raise TypeError("only a module's parameters can be replaced by copies")
    return points.field


def _named_copies(points: Points, count: int) -> dict[str, Tensor]:
    """Copies (count, *parameter) without memory of their own, under the module's names; KeyError for a stranger."""
    names = {id(value): name for name, value in _module(points).named_parameters()}
    return {names[id(p)]: p.detach().expand(count, *p.shape).requires_grad_() for p in points.parameters}


def _own_copies(points: Points, chunk: Chunk, weight: Tensor) -> list[Tensor] | None:
    field, copies = _module(points), _named_copies(points, points.shape[0])

    def one_row(own: dict[str, Tensor], row: Tensor) -> Tensor:
        return vmap(lambda t, y: functional_call(field, own, (t, y.unsqueeze(0))).squeeze(0))(chunk.t.detach(), row)

    with torch.enable_grad():
        k = points.clock * vmap(one_row, in_dims=(0, 1), out_dims=1)(copies, chunk.y.detach())
    return pull([k], list(copies.values()), [weight]) if agree(k, chunk.k) else None


def push_unit_parameters(points: Points, unit: list[Tensor]) -> Tensor:
    """F_θ at every point for a unit direction of every number of every parameter: (numbers, P, *state).

    With a copy of the parameters for every point that is as many pulls as the state has numbers; where this is
    not fewer, or impossible, one push for every direction of `unit` (see `Points.push_parameters`).
    """
    numbers, size = sum(p.numel() for p in points.parameters), points.shape.numel()
    if size < numbers:
        try:
            return torch.cat([_parameter_jacobian(points, chunk) for chunk in points.chunks], dim=1)
        except Exception:  # not a module, a parameter of nobody, or nothing vmap can do
            return points.push_parameters(unit)
    return points.push_parameters(unit)


def _parameter_jacobian(points: Points, chunk: Chunk) -> Tensor:
    field, count, size = _module(points), len(chunk.y), points.shape.numel()
    copies = _named_copies(points, count)
    with torch.enable_grad():
        call = vmap(lambda own, t, y: functional_call(field, own, (t, y)))
        k = points.clock * call(copies, chunk.t.detach(), chunk.y.detach())
    if not agree(k, chunk.k):
        raise ValueError("with copied parameters the field gives other slopes")
    weights = torch.eye(size, dtype=k.dtype, device=k.device).view(size, 1, *points.shape)
    pulled = pull([k], list(copies.values()), [weights.expand(size, count, *points.shape)])
    return torch.cat([part.flatten(2) for part in pulled], dim=2).permute(2, 1, 0).reshape(-1, *chunk.y.shape)


def _row_after_row(points: Points, chunk: Chunk, weight: Tensor) -> list[Tensor]:
    rows = []
    for row in range(points.shape[0]):
        alone = torch.zeros_like(weight)
        alone[:, :, row] = weight[:, :, row]
        rows.append(pull([chunk.k], points.parameters, [alone]))
    return [torch.stack(values, dim=1) for values in zip(*rows, strict=True)]
