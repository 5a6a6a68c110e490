"""What is computed and paid for: a solution, a gradient, a Hessian-vector product; and what each should have been."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from odecheck_reference import Problem, sensitivity
from odecheck_reference import flow as reference_flow
from odecheck_reference.bounded import Array
from torch import Tensor, nn

from odecheck import second_order as _second_order
from odecheck.engines.base import Engine, GraphEngine
from odecheck.engines.products import ProductEngine
from odecheck.errors import Unsupported
from odecheck.solvers import Solver

Quantity = Literal["solution", "gradient", "hvp"]
QUANTITIES: tuple[Quantity, ...] = ("solution", "gradient", "hvp")
Compute = Callable[[nn.Module, Solver, Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]
second_order: Any = _second_order  # its functions take any callable


def compute(quantity: Quantity, engine: Engine) -> Compute:
    """What computes a quantity with an engine.

    Args:
        quantity: one of QUANTITIES.
        engine: what solves and differentiates.

    Returns:
        (module, solver, y0, ts, loss) → the quantity, one flat tensor: states, or (y0, theta) parts. It raises
        Unsupported for what the engine cannot do.

    Raises:
        KeyError: another name than those of QUANTITIES.
    """

    def solution(module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: Any) -> Tensor:
        return engine.solution(module, solver, y0, ts).reshape(-1)

    def gradient(module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: Any) -> Tensor:
        found = engine.gradient(module, solver, y0, ts, loss)
        return torch.cat([found.y0.reshape(-1), found.theta])

    def product(module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: Any) -> Tensor:
        return hvp(engine, module, solver, y0, ts, loss)

    return {"solution": solution, "gradient": gradient, "hvp": product}[quantity]


def direction(size: int) -> Array:
    """The direction of Hessian-vector products in (y0, theta): the same for everybody.

    Args:
        size: numbers of y0 and theta together.

    Returns:
        cos(1 + 2 i) for i < size, of shape (size,).
    """
    return np.cos(1.0 + 2.0 * np.arange(size))


def _directions(module: nn.Module, y0: Tensor) -> tuple[Tensor, list[Tensor], list[nn.Parameter]]:
    params = [p for p in module.parameters() if p.requires_grad]
    sizes = [y0.numel(), *(p.numel() for p in params)]
    whole: Any = torch.as_tensor(direction(sum(sizes)), dtype=y0.dtype, device=y0.device)
    parts: list[Tensor] = list(whole.split(sizes))
    shaped = [part.view_as(p) for part, p in zip(parts[1:], params, strict=True)]
    return parts[0].view_as(y0), shaped, params


def hvp(engine: object, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: Any) -> Tensor:
    """The Hessian of loss(solution) in (y0, theta) times `direction`, by reverse mode over reverse mode.

    An engine with a product of its own is a `ProductEngine`, and asked for that.

    Args:
        engine: what solves and differentiates.
        module: the vector field.
        solver: the method and its tolerance or steps.
        y0: the start, of shape (batch, state).
        ts: the output times, of shape (times,).
        loss: of the states (times, batch, state), a scalar.

    Returns:
        The product, flat: (batch · state + params,).

    Raises:
        Unsupported: solutions are no part of torch's graph, or cannot be differentiated twice.
    """
    if isinstance(engine, ProductEngine):
        dy, dp, _ = _directions(module, y0)
        return torch.cat([part.reshape(-1) for part in engine.product(module, solver, y0, ts, loss, dy, dp)])
    if not isinstance(engine, GraphEngine):
        raise Unsupported(f"{getattr(engine, 'name', engine)} has no Hessian-vector product")
    start = y0.detach().requires_grad_()
    dy, dp, params = _directions(module, start)
    inputs = [start, *params]
    slopes = torch.autograd.grad(loss(engine.attached(module, solver, start, ts)), inputs, create_graph=True)
    if not any(slope.requires_grad for slope in slopes):
        raise Unsupported(f"{engine.name} cannot be differentiated twice")
    product = torch.autograd.grad(slopes, inputs, [dy, *dp], materialize_grads=True)
    return torch.cat([part.reshape(-1) for part in product])


@lru_cache(maxsize=64)
def truth(problem: Problem, quantity: Quantity) -> tuple[Array, float]:
    """What `compute` should have found in exact arithmetic.

    Args:
        problem: without an integral term in its loss.
        quantity: one of QUANTITIES.

    Returns:
        The reference's value, flat, and the largest error bar of it.
    """
    if quantity == "solution":
        exact = reference_flow.solution(problem)
        return exact.value.reshape(-1), float(exact.radius.max())
    if quantity == "gradient":
        whole = sensitivity.gradient(problem)
        parts = (whole.y0, whole.theta)
        return np.concatenate([p.value.reshape(-1) for p in parts]), max(float(p.radius.max(initial=0)) for p in parts)
    matrix = sensitivity.hessian(problem)
    size = problem.y0.size + problem.field.params
    along = direction(size)
    return matrix.value[:size, :size] @ along, float((matrix.radius[:size, :size] @ np.abs(along)).max())


def error(found: Array, problem: Problem, quantity: Quantity) -> float:
    """The relative error max |found − truth| / max |truth|.

    Args:
        found: the quantity, flat.
        problem: of which.
        quantity: which.

    Returns:
        The error; NaN where it is less than the reference itself is sure of.
    """
    exact, radius = truth(problem, quantity)
    distance = float(np.abs(found - exact).max())
    return distance / float(np.abs(exact).max()) if distance > radius else float("nan")
