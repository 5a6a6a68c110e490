"""Continuous normalizing flows (arXiv:1806.07366, FFJORD arXiv:1810.01367): a field, its divergence, a density.

    x' = f(t, x), t0 ≤ t ≤ t1:    log p(x(t1)) = log p(x(t0)) − ∫ tr ∂f/∂x dt

With ℓ' = tr ∂f/∂x solved along with x from t1 back to t0, and ℓ(t1) = 0, that is log p(x(t1)) = log p(x(t0)) + ℓ(t0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from odecheck.compat import is_transforming
from odecheck.solvers import OdeInt, Solver

from .bound import Bound
from .layer import ADJOINT, DEFAULT_SOLVER
from .parts import FieldError

if TYPE_CHECKING:
    from jaxtyping import Float

Divergence = Literal["exact", "rademacher", "gaussian"]


class ConcatSquashLinear(nn.Module):
    """The map h ↦ (W h + b) ⊙ sigmoid(g t + a) + c t; g, a and c are the same for all rows.

    Args:
        inputs: length of h.
        outputs: length of the result.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.gate = nn.Linear(1, outputs)
        self.shift = nn.Linear(1, outputs, bias=False)

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        """From h (batch, inputs) to (batch, outputs)."""
        clock = t.to(h.dtype).reshape(-1, 1)
        return self.linear(h) * torch.sigmoid(self.gate(clock)) + self.shift(clock)


class ConcatSquash(nn.Module):
    """f(t, x): layers `ConcatSquashLinear`, with an activation between them (not after the last).

    Source: FFJORD, arXiv:1810.01367, as in its published code.

    Args:
        widths: of x, of every layer between, and of f.
        activation: acts on each entry; by default nn.Tanh().
    """

    def __init__(self, widths: Sequence[int], activation: nn.Module | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConcatSquashLinear(a, b) for a, b in pairwise(widths))
        self.activation = nn.Tanh() if activation is None else activation

    def forward(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "batch features"]
    ) -> Float[Tensor, "batch outputs"]:
        """The field's value at (t, x), a row for each row of x."""
        for i, layer in enumerate(self.layers):
            x = layer(t, self.activation(x) if i else x)
        return x


class WithDivergence(nn.Module):
    """(x, ℓ)' = (f, tr ∂f/∂x), or εᵀ(∂f/∂x)ε in place of the trace, with noise ε shaped like x and E εεᵀ = 1.

    Called as module(t, state), with one pullback for each dimension, or as module(t, state, ε), with one.

    Args:
        inner: f, a module called as inner(t, x), x (batch, features), in which rows do not see each other.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, state: Tensor, noise: Tensor | None = None) -> Tensor:
        """The rate of (x, ℓ), (batch, features + 1); noise (batch, features), or None for the exact trace."""
        x = state[..., :-1]
        live = torch.is_grad_enabled()
        # torch.func inside its own transforms, and where only it can tell whether anything is differentiated here
        if is_transforming() or (live and not x.requires_grad):
            f, trace = self._transformed(t, x, noise)
        else:
            f, trace = self._plain(t, x, noise, live)
        return torch.cat([f, trace[..., None]], dim=-1)

    def _plain(self, t: Tensor, x: Tensor, noise: Tensor | None, live: bool) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x if live else x.detach().requires_grad_()
            f = self.inner(t, x)
            vectors = _vectors(x, noise)
            pulls = [torch.autograd.grad(f, x, v, create_graph=live, retain_graph=True)[0] for v in vectors]
            trace = _trace(pulls, noise)
        return (f, trace) if live else (f.detach(), trace.detach())

    def _transformed(self, t: Tensor, x: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        f, pull = torch.func.vjp(lambda x: self.inner(t, x), x)  # pyright: ignore[reportAssignmentType, reportUnknownLambdaType, reportUnknownArgumentType, reportUnknownVariableType]
        return f, _trace([pull(v)[0] for v in _vectors(x, noise)], noise)


def _vectors(x: Tensor, noise: Tensor | None) -> Sequence[Tensor]:
    if noise is not None:
        return [noise]
    unit = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    return [row.expand_as(x) for row in unit]


def _trace(pulls: Sequence[Tensor], noise: Tensor | None) -> Tensor:
    if noise is not None:
        return (pulls[0] * noise).sum(-1)
    return torch.stack([pull[..., i] for i, pull in enumerate(pulls)]).sum(0)


class CNF(nn.Module):
    """A density on rows x = x(t1) by a flow that takes them to a standard normal z = x(t0).

    Sources: arXiv:1806.07366, continuous normalizing flows; FFJORD, arXiv:1810.01367, the estimate of the divergence.

    Args:
        inner: f, a module called as inner(t, x) with x (batch, features), in which rows do not see each other. The
            attribute `field` is what is solved, f with its divergence.
        divergence: "exact", or Hutchinson's estimate with "rademacher" (±1) or "gaussian" noise, drawn for every solve
            from torch's random numbers. An estimate of log p is unbiased; its gradient is that of the estimate.
        span: (t0, t1).
        solver: how it is solved.
        odeint: how it is differentiated: torchdiffeq's `odeint_adjoint` or `odeint`, or `odecheck.odeint`.

    Raises:
        FieldError: an unknown divergence, or rows that are no (batch, features).
    """

    def __init__(
        self,
        inner: nn.Module,
        *,
        divergence: Divergence = "exact",
        span: tuple[float, float] = (0.0, 1.0),
        solver: Solver = DEFAULT_SOLVER,
        odeint: OdeInt = ADJOINT,
    ) -> None:
        super().__init__()
        if divergence not in ("exact", "rademacher", "gaussian"):
            raise FieldError(f"divergence is {divergence!r}; it is 'exact', 'rademacher' or 'gaussian'")
        self.field, self.divergence, self.span = WithDivergence(inner), divergence, span
        self.solver, self.odeint = solver, odeint

    def log_prob(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, " batch"]:
        """The logarithm of the density at each row, in nats."""
        z, change = self(x)
        return standard_normal(z) + change

    def forward(
        self, x: Float[Tensor, "batch features"]
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, " batch"]]:
        """Data to noise: z, and log p(x) − log p(z) = −∫ tr ∂f/∂x dt of each row."""
        return self._solve(x, self.span[::-1])

    def inverse(
        self, z: Float[Tensor, "batch features"]
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, " batch"]]:
        """Noise to data: x, and log p(z) − log p(x) = ∫ tr ∂f/∂x dt of each row.

        Rows of the density are inverse(torch.randn(count, features))[0].
        """
        return self._solve(z, self.span)

    def _solve(self, x: Tensor, span: tuple[float, ...]) -> tuple[Tensor, Tensor]:
        if x.dim() != 2:
            raise FieldError(f"the rows have shape {tuple(x.shape)}; give x (batch, features)")
        noise = self._noise(x)
        flow = self.field if noise is None else Bound(self.field, noise)
        times = torch.tensor(span, dtype=x.dtype, device=x.device)
        end = self.solver.solve(self.odeint, flow, torch.cat([x, torch.zeros_like(x[:, :1])], dim=1), times)[-1]
        return end[:, :-1], end[:, -1]

    def _noise(self, x: Tensor) -> Tensor | None:
        if self.divergence == "exact":
            return None
        if self.divergence == "gaussian":
            return torch.randn_like(x)
        return torch.randint_like(x, 2) * 2 - 1


def standard_normal(z: Tensor) -> Tensor:
    """The logarithm of the density of N(0, 1) at rows (batch, features), in nats: (batch,)."""
    return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))
