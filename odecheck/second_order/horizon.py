"""Derivatives of a loss in the time at which the solve ends."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from odecheck.ode.arguments import start


@dataclass(frozen=True)
class Horizon:
    """With T = t[-1] and L the loss; scalars, and tuples with one tensor per parameter.

    Attributes:
        loss, gradient: L and ∂L/∂θ.
        T, TT, Ttheta: ∂L/∂T, ∂²L/∂T², ∂²L/∂T∂θ, exact.
        TT_gauss_newton, Ttheta_gauss_newton: (∂L/∂T)² and ∂L/∂T ∂L/∂θ.
    """

    loss: Tensor
    gradient: tuple[Tensor, ...]
    T: Tensor
    TT: Tensor
    Ttheta: tuple[Tensor, ...]

    @property
    def TT_gauss_newton(self) -> Tensor:
        return self.T.square()

    @property
    def Ttheta_gauss_newton(self) -> tuple[Tensor, ...]:
        return tuple(self.T * g for g in self.gradient)


def horizon_derivatives(
    field: Callable,
    y0: Tensor,
    t: Tensor,
    loss: Callable,
    *,
    running_cost: Callable | None = None,
    **solver: Any,
) -> Horizon:
    """First and second derivatives of L in the final time T = t[-1], and the mixed ones in θ.

    L = Φ(y(t_0), …, y(T)) + ∫ ℓ(t, y, θ) dt. With everything at T:

        Q_T = Φ_y·F + ℓ,   Q_TT = FᵀΦ_yyF + Φ_y·(F_yF + F_t) + ℓ_y·F + ℓ_t,
        Q_Tθ = (Φ_yyF + F_yᵀΦ_y + ℓ_y)ᵀ ∂y(T)/∂θ + F_θᵀΦ_y + ℓ_θ.

    The properties `TT_gauss_newton` and `Ttheta_gauss_newton` of the result are the approximations Q_T² and
    Q_T Q_θ, a Gauss-Newton form with L itself as the residual. They can be far off.

    Source: arXiv:2109.14158, optimising the integration bound. In units of L per time, and per time squared.

    Args:
        field: as for `hvp`.
        y0: one tensor, of any shape.
        t: as for `hvp`.
        loss: as for `hvp`.
        running_cost: as for `hvp`.
        **solver: as for `hvp`.

    Raises:
        TypeError: a tuple of states: concatenate them.
    """
    if not isinstance(y0, Tensor):
        raise TypeError("y0 must be one tensor: concatenate the states, and split them inside the field")
    problem = start(field, y0, t, running_cost=running_cost, **solver)
    base, wanted = problem.flow.field, problem.wanted
    inputs = [x.detach().requires_grad_(i in wanted) for i, x in enumerate(problem.inputs)]
    theta = [inputs[i] for i in wanted]
    with torch.enable_grad():
        y, *running = problem.flow.along(t.detach(), [y0.detach()], inputs)
    path, p = y.detach(), [x.detach() for x in inputs]

    def final(t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        rate, *cost = base(t, [x], p)
        return rate, cost[0] if cost else x.new_zeros(())

    end, x = t[-1].detach(), path[-1]
    rate, cost = final(end, x)
    drate, dcost = torch.func.jvp(final, (end, x), (torch.ones_like(end), rate))[1]
    along = torch.cat([torch.zeros_like(path[:-1]), rate[None]])
    slope, bend = torch.func.jvp(torch.func.grad(loss), (path,), (along,))  # pyright: ignore[reportAssignmentType]
    _, pull = torch.func.vjp(lambda x: final(end, x), x)  # pyright: ignore[reportAssignmentType]
    cotangent = torch.cat([bend[:-1], (bend[-1] + pull((slope[-1], torch.ones_like(cost)))[0])[None]])
    with torch.enable_grad():
        local = base(end, [x], inputs)
        at_end = (local[0] * slope[-1]).sum() + sum(local[1:])
        moved, whole = (y * cotangent).sum(), (y * slope).sum() + sum(q[-1] for q in running)
    return Horizon(
        loss=loss(path) + sum(q[-1].detach() for q in running),
        gradient=_gradient(whole, theta),
        T=(slope[-1] * rate).sum() + cost,
        TT=(rate * bend[-1]).sum() + (slope[-1] * drate).sum() + dcost,
        Ttheta=tuple(a + b for a, b in zip(_gradient(moved, theta), _gradient(at_end, theta), strict=True)),
    )


def _gradient(value: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    if not inputs or not value.requires_grad:
        return tuple(torch.zeros_like(x) for x in inputs)
    grads = torch.autograd.grad(value, inputs, retain_graph=True, allow_unused=True)
    return tuple(torch.zeros_like(x) if g is None else g for g, x in zip(grads, inputs, strict=True))
