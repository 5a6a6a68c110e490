"""A layer between invertible affine maps, and how its steps are mapped back (SNOPT-9)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from odecheck.subject import tensor


class Sandwich(nn.Module):
    """h = N⁻¹ (W' (M z + m) + b'): the same function of z as W z + b, if W' = N W M⁻¹ and b' = N b − W' m."""

    def __init__(self, layer: nn.Linear, rng: np.random.Generator) -> None:
        super().__init__()
        self.layer = layer
        self.M, self.N = (_invertible(n, rng) for n in (layer.in_features, layer.out_features))
        self.m = tensor(rng.normal(size=layer.in_features)) if layer.bias is not None else None
        with torch.no_grad():
            layer.weight.copy_(self.N @ layer.weight @ torch.linalg.inv(self.M))
            if self.m is not None:
                layer.bias.copy_(self.N @ layer.bias - layer.weight @ self.m)

    def forward(self, z: Tensor) -> Tensor:
        moved = z @ self.M.T
        return self.layer(moved if self.m is None else moved + self.m) @ torch.linalg.inv(self.N).T

    def back(self, step: Tensor) -> Tensor:
        """A step of (W', b') as a step of (W, b)."""
        columns = self.M
        if self.m is not None:
            below = torch.cat([torch.zeros(len(self.M), dtype=self.M.dtype), torch.ones(1, dtype=self.M.dtype)])
            columns = torch.cat([torch.cat([self.M, self.m[:, None]], 1), below[None]])
        return torch.linalg.solve(self.N, step) @ columns


def _invertible(n: int, rng: np.random.Generator) -> Tensor:
    q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return tensor(q * rng.uniform(0.5, 2.0, n))


def sandwich(module: nn.Module) -> None:
    rng = np.random.default_rng(0)
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and not isinstance(parent, Sandwich):
                setattr(parent, name, Sandwich(child, rng))
