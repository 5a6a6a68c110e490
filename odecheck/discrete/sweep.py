"""The linear recursions stage after stage, for fields whose Jacobian blocks are too many or too large to form."""

from __future__ import annotations

import torch
from torch import Tensor

from .pulls import pull
from .stage_points import Points
from .tableau import Tableau
from .trajectory import Segment, matrix


class Sweep:
    """Stage after stage, with products by the field's Jacobian and never the Jacobian itself.

    The products come from automatic differentiation of one graph a stage.
    """

    def __init__(self, tableau: Tableau, segment: Segment, points: Points) -> None:
        self.n, self.s, self.carries = segment.steps, tableau.stages, tableau.carries
        self.h, self.b = segment.sizes.tolist(), tableau.b
        a = matrix(tableau, segment.sizes)
        self.rows, self.columns = [a[i, :i] for i in range(self.s)], [a[i + 1 :, i] for i in range(self.s)]
        self.weights = segment.sizes.new_tensor(tableau.b)
        self.shape = points.shape
        self.leaves = [y.detach().requires_grad_() for y in segment.points.reshape(-1, *points.shape)]
        with torch.enable_grad():
            pairs = zip(segment.times.reshape(-1), self.leaves, strict=True)
            self.k = [points.clock * points.field(t, y) for t, y in pairs]
        self.weighted: dict[int, tuple[Tensor, Tensor]] = {}

    def pull(self, i: int, weight: Tensor) -> Tensor:
        """F_yᵀ weight at point i: (D, *state) → (D, *state)."""
        return pull([self.k[i]], [self.leaves[i]], [weight])[0]

    def push(self, i: int, tangent: Tensor) -> Tensor:
        """F_y tangent at point i: (D, *state) → (D, *state)."""
        if i not in self.weighted:
            with torch.enable_grad():
                weight = torch.ones_like(self.k[i]).requires_grad_()
                self.weighted[i] = weight, pull([self.k[i]], [self.leaves[i]], [weight.unsqueeze(0)], graph=True)[0][0]
        weight, weighted = self.weighted[i]
        return pull([weighted], [weight], [tangent])[0]

    def tangent(self, x: Tensor, forcing: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Recursion.tangent`."""
        directions, states = len(x), [x]
        points = x.new_empty(self.n, self.s, directions * x.shape[-1])
        for n in range(self.n):
            y, stale = x[:, 0].reshape(-1), x[:, -1].reshape(-1)
            k = x.new_empty(self.s, y.numel())
            for i in range(self.s):
                z = torch.addmv(y, k[:i].t(), self.rows[i], alpha=self.h[n]) if i else stale
                points[n, i] = z
                k[i] = self.push(n * self.s + i, z.view(directions, *self.shape)).reshape(-1)
                if forcing is not None:
                    k[i] += forcing[:, n, i].reshape(-1)
            end = torch.addmv(y, k.t(), self.weights, alpha=self.h[n])
            parts = [end, points[n, -1]] if self.carries else [end]
            x = torch.stack([part.view(directions, -1) for part in parts], dim=1)
            states.append(x)
        stages = points.view(self.n, self.s, directions, -1).permute(2, 0, 1, 3)
        return torch.stack(states, dim=1), stages.contiguous()

    def adjoint(self, x: Tensor, jumps: Tensor, source: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Recursion.adjoint`."""
        directions = len(x)
        kappas = x.new_empty(self.n, self.s, directions * x.shape[-1])
        for n in range(self.n - 1, -1, -1):
            h, end = self.h[n], (x[:, 0] + jumps[:, n]).view(-1)
            zeta = x.new_empty(self.s, end.numel())
            for i in range(self.s - 1, -1, -1):
                later = zeta[i + 1 :].t()
                kappa = torch.addmv(end, later, self.columns[i], beta=h * self.b[i], alpha=h)
                kappas[n, i] = kappa
                zeta[i] = self.pull(n * self.s + i, kappa.view(directions, *self.shape)).reshape(-1)
                if source is not None:
                    zeta[i] += source[:, n, i].reshape(-1)
                if self.carries and i == self.s - 1:
                    zeta[i] += x[:, 1].reshape(-1)
            parts = [end + zeta[1:].sum(0), zeta[0]] if self.carries else [end + zeta.sum(0)]
            x = torch.stack([part.view(directions, -1) for part in parts], dim=1)
        stages = kappas.view(self.n, self.s, directions, -1).permute(2, 0, 1, 3)
        return stages.contiguous(), x
