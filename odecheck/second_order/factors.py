"""Low-rank Gauss-Newton: Q = Σ (q_i, p_i)(q_i, p_i)ᵀ, one adjoint vector for each rank of Φ_xx."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from odecheck.ode.fields import Field, Leaves
from odecheck.ode.stepping import integrate

from .samples import Samples


@dataclass(frozen=True)
class Factors:
    """Q_xx = Σ_i q_i q_iᵀ, Q_xθ = Σ_i q_i p_iᵀ for every sample; Q_θθ = Σ p_i p_iᵀ over i and samples.

    Attributes:
        q: (times, rank, d), or (times, batch, rank, d).
        p: (times, rank, n), or (times, batch, rank, n).
    """

    q: Tensor
    p: Tensor

    @property
    def xx(self) -> Tensor:
        """(times, d, d) or (times, batch, d, d)."""
        return self.q.mT @ self.q

    @property
    def xtheta(self) -> Tensor:
        """(times, d, n) or (times, batch, d, n)."""
        return self.q.mT @ self.p

    @property
    def thetatheta(self) -> Tensor:
        """(times, n, n), summed over samples."""
        rows = self.p.flatten(1, -2)
        return rows.mT @ rows


class FactorField(Field):
    """x' = F, q_i' = −F_xᵀ q_i; quadratures p_i' = −F_θᵀ q_i."""

    tangents = 0

    def __init__(self, samples: Samples, rank: tuple[int, ...]):
        self.samples, self.base = samples, samples.base
        self.states = 2
        self.quadratures = (torch.Size((*rank, samples.n)),)
        self.batch = (int(samples.batched),) * 3

    def __call__(self, t: Tensor, y: Leaves, p: Leaves) -> tuple[Tensor, ...]:
        samples, theta = self.samples, self.samples.theta(p)

        def of_sample(x: Tensor, q: Tensor) -> tuple[Tensor, ...]:
            rate, pull = torch.func.vjp(lambda x, theta: samples.rates(t, x, theta, p)[0], x, theta)  # pyright: ignore[reportAssignmentType]
            return (rate, *torch.func.vmap(pull)(-q))

        return samples.over(of_sample)(*y)


def gauss_newton_factors(
    field: Callable, y0: Tensor, t: Tensor, factors: Tensor | Callable[[Tensor], Tensor], **solver: Any
) -> Factors:
    """The factors q_i(t), p_i(t) at each of the times t of the Gauss-Newton form of a terminal loss.

        −q_i' = F_xᵀ q_i,  q_i(T) = y_i;   −p_i' = F_θᵀ q_i,  p_i(T) = 0;   Φ_xx = Σ_i y_i y_iᵀ.

    Source: arXiv:2109.14158, low-rank representation of the second-order matrices.

    Args:
        field: as for `q_blocks`.
        y0: as for `q_blocks`.
        t: as for `q_blocks`.
        factors: y_i as rows, (rank, d) or (batch, rank, d); or a function of the final state that gives them, such
            as `cross_entropy_factors`.
        **solver: as for `q_blocks`.

    Raises:
        ValueError: factors of the wrong shape; what `q_blocks` raises.
    """
    samples = Samples(field, y0, t, None, solver)
    flow, inputs = samples.problem.flow, samples.problem.inputs
    with torch.no_grad():
        x = integrate(flow.field, t, samples.problem.y0, inputs, flow.forward, flow.pace)[0]
        rows = factors if isinstance(factors, Tensor) else factors(x[-1])
        if rows.dim() != y0.dim() + 1 or rows.shape[:-2] != y0.shape[:-1] or rows.shape[-1] != samples.d:
            wanted = (*y0.shape[:-1], "rank", samples.d)
            raise ValueError(f"the factors have shape {tuple(rows.shape)}, and need {wanted}: one row per factor")
        backward = FactorField(samples, tuple(rows.shape[:-1]))
        q, p = rows, rows.new_zeros(*rows.shape[:-1], samples.n)
        kept = [(q, p)]
        for i in range(len(t) - 1, 0, -1):
            segment = integrate(backward, t[[i, i - 1]], [x[i], q], inputs, flow.backward, flow.pace)
            q, p = segment[1][-1], p + segment[2][-1]
            kept.append((q, p))
    return Factors(*(torch.stack(column) for column in zip(*reversed(kept), strict=True)))


def squared_error_factors(x: Tensor, weight: float = 1.0) -> Tensor:
    """Rows y_i with Σ y_i y_iᵀ = Φ_xx of Φ = weight/2 |x − target|², for x (…, d): (…, d, d)."""
    unit = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device) * weight**0.5
    return unit.expand(*x.shape, x.shape[-1])


def cross_entropy_factors(logits: Tensor, weight: float = 1.0) -> Tensor:
    """Rows y_i with Σ y_i y_iᵀ = Φ_xx of weight times the softmax cross-entropy of logits (…, c): (…, c, c).

    Φ_xx = diag(s) − s sᵀ with s = softmax(logits), for any label or soft label; y_i = √s_i (e_i − s).
    """
    s = torch.softmax(logits, -1)
    unit = torch.eye(s.shape[-1], dtype=s.dtype, device=s.device)
    return (weight * s).sqrt()[..., :, None] * (unit - s[..., None, :])


def matrix_factors(phi_xx: Tensor) -> Tensor:
    """Rows y_i with Σ y_i y_iᵀ = Φ_xx, for a given positive semi-definite (…, d, d).

    Raises:
        ValueError: if the matrix is not symmetric, or has an eigenvalue below zero by more than round-off.
    """
    eps = torch.finfo(phi_xx.dtype).eps
    scale = float(phi_xx.abs().max()) * phi_xx.shape[-1]
    if float((phi_xx - phi_xx.mT).abs().max()) > 10 * eps * scale:
        raise ValueError("phi_xx is not symmetric: pass (phi_xx + phi_xx.mT) / 2")
    values, vectors = torch.linalg.eigh(phi_xx)
    if float(values.min()) < -10 * eps * scale:
        raise ValueError(
            f"phi_xx has the negative eigenvalue {float(values.min()):.3g}, and a sum of squares cannot be negative: "
            "use q_blocks(form='gauss-newton'), which takes any phi_xx"
        )
    return (vectors * values.clamp(min=0).sqrt()[..., None, :]).mT
