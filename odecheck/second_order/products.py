"""Hessian-vector products of a loss of an ODE's solution, in two solves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from odecheck.ode import odeint
from odecheck.ode.arguments import Start, start
from odecheck.ode.fields import Adjoint, Leaves, Tangent, vector_jacobian
from odecheck.ode.stepping import integrate

from .restarts import with_restarts

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Product:
    """A loss, its gradient, and its Hessian times a direction.

    Attributes:
        loss: L.
        gradient: a pair: the part in y0, shaped like y0, and the part in the parameters, a tuple.
        product: the Hessian times the direction, a pair likewise.
    """

    loss: Float[Tensor, ""]
    gradient: tuple[Any, tuple[Tensor, ...]]
    product: tuple[Any, tuple[Tensor, ...]]


def hvp(
    field: Callable,
    y0: Float[Tensor, "*state"] | tuple[Float[Tensor, " ..."], ...],
    t: Float[Tensor, " times"],
    loss: Callable,
    direction: tuple[Any, Sequence[Tensor] | None],
    *,
    running_cost: Callable | None = None,
    **solver: Any,
) -> Product:
    """The Hessian of L in (y0, θ) times a direction, with L's value and gradient.

    L = loss(y(t_0), …, y(t_n)) + ∫ ℓ(t, y, θ) dt. First the solution and its tangent are solved forwards together,
    then the state, the adjoint and the tangents of both backwards:

        −a' = F_yᵀ a + ℓ_y,   −ȧ' = F_yᵀ ȧ + (a·F_yy + ℓ_yy) ẏ + (a·F_yθ + ℓ_yθ) θ̇,

    with jumps of a and ȧ at every observation. Where the solution contracts so strongly that it cannot be followed
    back (`odecheck.second_order.restarts` derives when), the state is taken anew from the forward solve once in each
    of its longest steps, of which that many states are kept; else memory does not depend on the number of steps. Use
    `torch.func.jvp(torch.func.grad(...))` over `odeint` where the result itself has to be differentiated.

    Source: arXiv:2109.14158, backward equations of second order, in directional form.

    Args:
        field: as for `odeint`. θ are the tensors that require gradients: a module's parameters (then those of the
            running cost), or `adjoint_params`.
        y0: as for `odeint`.
        t: as for `odeint`.
        loss: of the states at all the times, as `odeint` returns them; a scalar.
        direction: the part in y0, shaped like y0, and one tensor per parameter, or None for zero.
        running_cost: ℓ(t, y), a scalar; it may read θ.
        **solver: rtol, atol, method, options, their adjoint_ versions, and adjoint_params, as for `odeint`.

    Returns:
        L, its gradient and the product.

    Raises:
        ValueError: a direction that does not match; and what `odeint` raises.
    """
    problem = start(field, y0, t, running_cost=running_cost, **solver)
    single = isinstance(y0, Tensor)
    dy0 = (direction[0],) if single else tuple(direction[0])
    dp = None if direction[1] is None else list(direction[1])
    _check_direction(problem, dy0, dp)
    moving = () if dp is None else problem.wanted
    y, dy, running = _forward(problem, t, dy0, dp or [], moving)
    fine, where = with_restarts(problem, t, y)
    path, dpath = (y, dy) if fine is t else _forward(problem, fine, dy0, dp or [], moving)[:2]

    def of_states(*states: Tensor) -> Tensor:
        return loss(states[0] if single else states)

    value, cotangents, dcotangents = _expand(of_states, y, dy)
    value = value + running
    with torch.no_grad():
        a, da, g, dg = _backward(problem, fine, where, path, dpath, cotangents, dcotangents, dp or [], moving)
    unwrap = (lambda x: x[0]) if single else tuple
    return Product(value.detach(), (unwrap(a), tuple(g)), (unwrap(da), tuple(dg)))


def gauss_newton_product(
    field: Callable,
    y0: Float[Tensor, "*state"],
    t: Float[Tensor, " times"],
    loss: Callable,
    direction: tuple[Tensor, Sequence[Tensor] | None],
    **solver: Any,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The Gauss–Newton matrix Xᵀ Φ_yy X of a loss, X = ∂y(ts)/∂(y0, θ), times a direction.

    The tangent ẏ = X (ẏ0, θ̇) is solved forwards with the solution; then the adjoint backwards, with the cotangents
    Φ_yy ẏ. Memory does not depend on the number of steps.

    Source: arXiv:2109.14158, the form without second derivatives of the field, in directional form.

    Args:
        field: as for `hvp`.
        y0: one tensor, of any shape.
        t: as for `hvp`.
        loss: as for `hvp`.
        direction: as for `hvp`.
        **solver: as for `hvp`.

    Returns:
        The part in y0, shaped like y0, and the part in the parameters.

    Raises:
        ValueError: a direction that does not match; and what `odeint` raises.
    """
    problem = start(field, y0, t, **solver)
    dp = None if direction[1] is None else list(direction[1])
    _check_direction(problem, (direction[0],), dp)
    y, dy, _ = _forward(problem, t, (direction[0],), dp or [], () if dp is None else problem.wanted)
    _, _, (bend,) = _expand(loss, y, dy)
    theta = [problem.inputs[i] for i in problem.wanted]
    with torch.enable_grad():
        y0 = y0.detach().requires_grad_()
        got = torch.autograd.grad(odeint(field, y0, t, **solver), [y0, *theta], bend, materialize_grads=True)
    return got[0], got[1:]


def _forward(problem: Start, t: Tensor, dy0: Leaves, dp: Leaves, moving: tuple[int, ...]):
    flow, n = problem.flow, len(problem.y0)
    out = integrate(
        Tangent(flow.field, moving), t, [*problem.y0, *dy0], [*problem.inputs, *dp], flow.forward, flow.pace
    )
    running = out[2 * n][-1] if flow.field.quadratures else torch.zeros_like(out[0].flatten()[0])
    return out[:n], out[n : 2 * n], running


def _backward(
    problem: Start, t: Tensor, where: list[int], y, dy, cotangents, dcotangents, dp: Leaves, moving: tuple[int, ...]
):
    """Solve (y, a, ẏ, ȧ) from each time to the one before, adding what the loss asks of each observation."""
    observed = {j: i for i, j in enumerate(where)}
    flow, n, p = problem.flow, len(problem.y0), problem.inputs
    unit = [y[0].new_ones(()) for _ in flow.field.quadratures]  # the running cost enters L with weight one
    adjoint = Adjoint(flow.field, p, problem.wanted)
    field = Tangent(adjoint, tuple(len(unit) + i for i in moving))
    a, da = [c[-1] for c in cotangents], [c[-1] for c in dcotangents]
    g: list[Any] = [torch.zeros_like(p[i]) for i in problem.wanted]
    dg = list(g)
    for i in range(len(t) - 1, 0, -1):
        state = [*(x[i] for x in y), *a, *(x[i] for x in dy), *da]
        out = [x[-1] for x in integrate(field, t[[i, i - 1]], state, [*unit, *p, *dp], flow.backward, flow.pace)]
        a, da = out[n : 2 * n], out[3 * n : 4 * n]
        if i - 1 in observed:
            a = [x + c[observed[i - 1]] for x, c in zip(a, cotangents, strict=True)]
            da = [x + c[observed[i - 1]] for x, c in zip(da, dcotangents, strict=True)]
        half = 4 * n + len(g)
        g = [old + new for old, new in zip(g, out[4 * n : half], strict=True)]
        dg = [old + new for old, new in zip(dg, out[half:], strict=True)]
    return a, da, g, dg


def _expand(loss: Callable, y: Leaves, dy: Leaves) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The loss, its gradient in the states and its Hessian times dy, which is symmetric: reverse mode twice."""
    with torch.enable_grad():
        states = [x.detach().requires_grad_() for x in y]
        value = loss(*states)
        slopes = vector_jacobian([value], states, [torch.ones_like(value)], live=True)
        filled = [torch.zeros_like(x) if g is None else g for x, g in zip(y, slopes, strict=True)]
        bends = vector_jacobian(filled, states, dy, live=False)
    return (
        value.detach(),
        [g.detach() for g in filled],
        [torch.zeros_like(x) if g is None else g for x, g in zip(y, bends, strict=True)],
    )


def _check_direction(problem: Start, dy0: Leaves, dp: Leaves | None) -> None:
    pairs: list[tuple[str, Leaves, Leaves]] = [("y0", dy0, problem.y0)]
    if dp is not None:
        pairs.append(("the parameters", dp, [problem.inputs[i] for i in problem.wanted]))
    for name, given, of in pairs:
        if [(x.shape, x.dtype) for x in given] != [(x.shape, x.dtype) for x in of]:
            raise ValueError(
                f"the direction in {name} has shapes {[tuple(x.shape) for x in given]}, and needs "
                f"{[tuple(x.shape) for x in of]}, all of {problem.y0[0].dtype}: one tensor for each tensor that "
                "requires a gradient, in the order of named_parameters()"
            )
