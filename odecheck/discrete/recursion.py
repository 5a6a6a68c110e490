"""The linear recursions of the steps: tangents forwards, adjoints backwards, many directions at once.

With stage points z_i = y + h Σ_j a_ij k_j, slopes k_i = F(z_i) and y⁺ = y + h Σ_i b_i k_i:

- tangent: k̇_i = F_y ż_i + f_i for a forcing f (such as F_θ θ̇);
- adjoint: κ_i = h (b_i λ⁺ + Σ_j a_ji ζ_j), ζ_i = F_yᵀ κ_i + c_i for a source c, λ = λ⁺ + Σ_i ζ_i.

What one step hands to the next is x = (y), or (y, stale point) for the methods whose first stage is a stale one.
Shapes: x (D, parts, N), everything at stages (D, n, s, N), jumps (D, n, N): directions D, steps n, stages s,
state size N.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from .tableau import Tableau
from .trajectory import Segment, matrix


class Recursion(Protocol):
    def tangent(self, x: Tensor, forcing: Tensor | None) -> tuple[Tensor, Tensor]:
        """x at the start, forcing → (x at the start and every step's end (D, n + 1, parts, N), ż)."""
        ...

    def adjoint(self, x: Tensor, jumps: Tensor, source: Tensor | None) -> tuple[Tensor, Tensor]:
        """x at the end, jumps added at every step's end, source → (κ, x at the start)."""
        ...


class Blocks:
    """All steps at once: step propagators M = ∂x⁺/∂x from Jacobian blocks, then one small product per step."""

    def __init__(self, tableau: Tableau, segment: Segment, jacobian: Tensor) -> None:
        n, s = segment.steps, tableau.stages
        rows, d = jacobian.shape[1], jacobian.shape[-1]
        self.n, self.s, self.rows, self.d = n, s, rows, d
        self.carries, self.parts = tableau.carries, 2 if tableau.carries else 1
        self.a, self.b = matrix(tableau, jacobian), jacobian.new_tensor(tableau.b)
        self.h = segment.sizes
        # (s, n, rows, d, d), scaled by the step size
        self.hj = (jacobian.view(n, s, rows, d, d) * self.h.view(n, 1, 1, 1, 1)).transpose(0, 1).contiguous()
        self.z, self.m = self._propagators()

    def _propagators(self) -> tuple[Tensor, Tensor]:
        n, s, rows, d = self.n, self.s, self.rows, self.d
        start = torch.eye(d, self.parts * d, dtype=self.hj.dtype, device=self.hj.device)
        start = start.expand(n, rows, d, -1).contiguous()
        z, k = self.hj.new_empty(s, *start.shape), self.hj.new_empty(s, *start.shape)
        z[0] = start.flip(-1).flip(-2) if self.carries else start  # the stale point is the second part
        for i in range(s):
            if i:
                torch.addmv(start.view(-1), k[:i].view(i, -1).t(), self.a[i, :i], out=z[i].view(-1))
            torch.matmul(self.hj[i], z[i], out=k[i])
        m = torch.addmv(start.view(-1), k.view(s, -1).t(), self.b).view(start.shape)
        return z, torch.cat([m, z[s - 1]], dim=-2) if self.carries else m

    def tangent(self, x: Tensor, forcing: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self._columns(x)
        z, step = None, None
        if forcing is not None:
            z, step = self._forced(self._stage_columns(forcing))
        states = [x]
        for i in range(self.n):
            x = self.m[i] @ x if step is None else torch.baddbmm(step[i], self.m[i], x)
            states.append(x)
        starts = torch.stack(states[:-1])
        points = self.z @ starts if z is None else z.add_(self.z @ starts)
        ends = torch.stack(states).reshape(self.n + 1, self.rows, self.parts, self.d, -1)
        return ends.permute(4, 0, 2, 1, 3).flatten(3), self._directions(points)

    def _forced(self, forcing: Tensor) -> tuple[Tensor, Tensor]:
        """The tangents that start from zero in every step: (points (s, …), their contribution to x⁺)."""
        s, flat = self.s, self.n * self.rows * self.d * forcing.shape[-1]
        forcing = forcing * self.h.view(1, -1, 1, 1, 1)
        z, k = torch.zeros_like(forcing), forcing
        for i in range(s):
            if i:
                torch.mv(k[:i].view(i, flat).t(), self.a[i, :i], out=z[i].view(-1))
                k[i] += self.hj[i] @ z[i]
        step = torch.mv(k.view(s, flat).t(), self.b).view(z[0].shape)
        return z, torch.cat([step, z[s - 1]], dim=-2) if self.carries else step

    def adjoint(self, x: Tensor, jumps: Tensor, source: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self._columns(x)
        gain = jumps.reshape(len(jumps), self.n, self.rows, self.d).permute(1, 2, 3, 0)
        if self.carries:
            gain = torch.cat([gain, torch.zeros_like(gain)], dim=-2)
        c = None if source is None else self._stage_columns(source)
        push = gain if c is None else gain.clone()
        if c is not None:
            push[:-1] += (self.z[:, 1:].mT @ c[:, 1:]).sum(0)
        ends, x = [], x + gain[-1]
        for i in range(self.n - 1, 0, -1):
            ends.append(x)
            x = torch.baddbmm(push[i - 1], self.m[i].mT, x)
        ends.append(x)
        x = self.m[0].mT @ x
        if c is not None:
            x = x + (self.z[:, 0].mT @ c[:, 0]).sum(0)
        kappa = self._stage_adjoints(torch.stack(ends[::-1]), c)
        parts = x.reshape(self.rows, self.parts, self.d, -1).permute(3, 1, 0, 2).flatten(2)
        return self._directions(kappa), parts

    def _stage_adjoints(self, ends: Tensor, c: Tensor | None) -> Tensor:
        s, d = self.s, self.d
        end = ends[..., :d, :].contiguous()
        kappa = torch.empty(s, *end.shape, dtype=end.dtype, device=end.device)
        zeta = torch.empty_like(kappa)
        for i in range(s - 1, -1, -1):
            torch.mul(end, self.b[i], out=kappa[i])
            if i < s - 1:
                rest = zeta[i + 1 :].view(s - 1 - i, -1)
                kappa[i].view(-1).addmv_(rest.t(), self.a[i + 1 :, i])
            if i:
                torch.matmul(self.hj[i].mT, kappa[i], out=zeta[i])
                if c is not None:
                    zeta[i] += c[i]
                if self.carries and i == s - 1:
                    zeta[i] += ends[..., d:, :]
        return kappa.mul_(self.h.view(1, -1, 1, 1, 1))

    def _columns(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), self.parts, self.rows, self.d).permute(2, 1, 3, 0).reshape(self.rows, -1, len(x))

    def _stage_columns(self, v: Tensor) -> Tensor:
        return v.reshape(len(v), self.n, self.s, self.rows, self.d).permute(2, 1, 3, 4, 0).contiguous()

    def _directions(self, v: Tensor) -> Tensor:
        return v.permute(4, 1, 0, 2, 3).flatten(3).contiguous()
