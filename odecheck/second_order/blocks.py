"""The second-order adjoint as the matrix equations that it is: Q_xx, Q_xθ, Q_θθ at every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from odecheck.ode.fields import Field, Leaves
from odecheck.ode.stepping import integrate

from .restarts import with_restarts
from .samples import Samples, curvature_of_loss

if TYPE_CHECKING:
    from jaxtyping import Float

Form = Literal["exact", "gauss-newton"]


@dataclass(frozen=True)
class Blocks:
    """Derivatives of the loss in the state at each time and in the parameters' action from that time on.

    With d states and n parameters, and a batch axis after the times where the state has one (not for θ alone,
    where samples add up):

    Attributes:
        x: the state.
        a: ∂L/∂x(t).
        theta: ∂L/∂θ.
        xx: Q_xx.
        xtheta: Q_xθ.
        thetatheta: Q_θθ.
    """

    x: Float[Tensor, "times *batch d"]
    a: Float[Tensor, "times *batch d"]
    theta: Float[Tensor, "times n"]
    xx: Float[Tensor, "times *batch d d"]
    xtheta: Float[Tensor, "times *batch d n"]
    thetatheta: Float[Tensor, "times n n"]


class SecondAdjoint(Field):
    """x' = F and the backward equations of a, Q_xx, Q_xθ; gradient and Q_θθ are quadratures.

    With h = a·F + ℓ (for Gauss-Newton, h = ℓ):
        −Q_xx' = h_xx + F_xᵀQ_xx + Q_xxF_x
        −Q_xθ' = h_xθ + F_xᵀQ_xθ + Q_xxF_θ
        −Q_θθ' = h_θθ + F_θᵀQ_xθ + Q_θxF_θ
    """

    tangents = 0

    def __init__(self, samples: Samples, form: Form):
        self.samples, n = samples, samples.n
        self.form: Form = form
        self.base = samples.base
        self.states = 4
        self.quadratures = (torch.Size((n,)), torch.Size((n, n)))
        self.batch = (int(samples.batched),) * 4 + (0, 0)

    def __call__(self, t: Tensor, y: Leaves, p: Leaves) -> tuple[Tensor, ...]:
        """The rates of x, a, Q_xx and Q_xθ, then those of the gradient and of Q_θθ."""
        samples, theta = self.samples, self.samples.theta(p)

        def of_sample(x: Tensor, a: Tensor, xx: Tensor, xtheta: Tensor) -> tuple[Tensor, ...]:
            return _second_adjoint_rates(samples, self.form, t, p, theta, x, a, xx, xtheta)

        rates = samples.over(of_sample)(*y)
        return (*rates[:4], *(q.sum(0) if samples.batched else q for q in rates[4:]))


def _second_adjoint_rates(samples: Samples, form: Form, t, p, theta, x, a, xx, xtheta) -> tuple[Tensor, ...]:
    d = samples.d

    def both(z: Tensor) -> tuple[Tensor, Tensor]:
        return samples.rates(t, z[:d], z[d:], p)

    def hamiltonian(z: Tensor) -> Tensor:
        rate, cost = both(z)
        return cost + (a @ rate if form == "exact" else 0.0)

    z = torch.cat([x, theta])
    jacobian, cost_gradient = torch.func.jacrev(both)(z)
    gradient = a @ jacobian + cost_gradient
    h = torch.func.hessian(hamiltonian)(z)
    h = (h + h.mT) / 2
    fx, ftheta = jacobian[:, :d], jacobian[:, d:]
    s, m = fx.mT @ xx, ftheta.mT @ xtheta
    return (
        both(z)[0],
        -gradient[:d],
        -(h[:d, :d] + s + s.mT),
        -(h[:d, d:] + fx.mT @ xtheta + xx @ ftheta),
        -gradient[d:],
        -(h[d:, d:] + m + m.mT),
    )


def q_blocks(
    field: Callable,
    y0: Float[Tensor, "*batch d"],
    t: Float[Tensor, " times"],
    loss: Callable,
    *,
    running_cost: Callable | None = None,
    form: Form = "exact",
    **solver: Any,
) -> Blocks:
    """Q_xx, Q_xθ and Q_θθ at each of the times t, the exact Hessian or its Gauss-Newton form.

    L = loss(y(t_0), …, y(t_n)) + ∫ ℓ(t, y, θ) dt. Entry i takes in the observation at t_i itself and all later
    ones; Q at t_0 is the Hessian of L in (y0, θ). To see Q at another time, add it to t.

    The Gauss-Newton form drops a·F_xx, a·F_xθ and a·F_θθ, the second derivatives of the field. Without a running
    cost it is Xᵀ Φ_xx X with X = ∂y(T)/∂(y0, θ); it is not the Hessian unless F is affine in (y, θ) or a = 0.

    Source: arXiv:2109.14158, backward equations of second order and their form without second derivatives of F.

    Args:
        field: as for `hvp`.
        y0: (d,), or (batch, d) where neither the field nor the loss couples samples.
        loss: of all states, (times, *y0.shape); a scalar, a sum over times.
        t: as for `hvp`.
        running_cost: as for `hvp`.
        form: "exact" or "gauss-newton".
        **solver: as for `hvp`.

    Returns:
        The blocks at every time of t, in units of L per unit of each variable.

    Raises:
        ValueError: a state of another shape, coupled samples, a loss that couples times; what `odeint` raises.
    """
    if form not in ("exact", "gauss-newton"):
        raise ValueError(f"form is 'exact' or 'gauss-newton', not {form!r}")
    samples = Samples(field, y0, t, running_cost, solver)
    flow, inputs = samples.problem.flow, samples.problem.inputs
    with torch.no_grad():
        x = integrate(flow.field, t, samples.problem.y0, inputs, flow.forward, flow.pace)[0]
        fine, where = with_restarts(samples.problem, t, [x])
        path = x if fine is t else integrate(flow.field, fine, [x[0]], inputs, flow.forward, flow.pace)[0]
        slopes, curvatures = curvature_of_loss(loss, x, samples.batched)
        backward, n = SecondAdjoint(samples, form), samples.n
        a, xx = slopes[-1], curvatures[-1]
        state = [a, xx, x.new_zeros(*a.shape, n)]
        sums = [x.new_zeros(n), x.new_zeros(n, n)]
        kept = [(*state, *sums)]
        for i in range(len(t) - 1, 0, -1):
            for j in range(where[i], where[i - 1], -1):
                segment = integrate(backward, fine[[j, j - 1]], [path[j], *state], inputs, flow.backward, flow.pace)
                _, *state = (out[-1] for out in segment[:4])
                sums = [old + out[-1] for old, out in zip(sums, segment[4:], strict=True)]
            a, xx, xtheta = state
            state = [a + slopes[i - 1], xx + curvatures[i - 1], xtheta]
            kept.append((*state, *sums))
    a, xx, xtheta, theta, thetatheta = (torch.stack(column) for column in zip(*reversed(kept), strict=True))
    return Blocks(x, a, theta, xx, xtheta, thetatheta)


def hessian(
    field: Callable,
    y0: Float[Tensor, "*batch d"],
    t: Float[Tensor, " times"],
    loss: Callable,
    *,
    running_cost: Callable | None = None,
    form: Form = "exact",
    **solver: Any,
) -> Float[Tensor, "D D"]:
    """The Hessian of L in (y0, θ), or its Gauss-Newton form, symmetric to round-off.

    Source: arXiv:2109.14158, as for `q_blocks`, which says what the Gauss-Newton form is.

    Args:
        field: as for `hvp`.
        y0: as for `q_blocks`.
        t: as for `hvp`.
        loss: as for `q_blocks`.
        running_cost: as for `hvp`.
        form: "exact" or "gauss-newton".
        **solver: as for `hvp`.

    Returns:
        A matrix of D = y0.numel() + n rows: y0 flat, then the parameters flat.

    Raises:
        ValueError: as `q_blocks`.
    """
    blocks = q_blocks(field, y0, t, loss, running_cost=running_cost, form=form, **solver)
    xx, xtheta = blocks.xx[0], blocks.xtheta[0]
    if y0.dim() == 2:
        xx, xtheta = torch.block_diag(*xx), xtheta.flatten(0, 1)
    return torch.cat([torch.cat([xx, xtheta], 1), torch.cat([xtheta.mT, blocks.thetatheta[0]], 1)])
