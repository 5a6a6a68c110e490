"""What is computed and paid for: a solution, a gradient, a Hessian-vector product; and what each should have been."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, singledispatch
from typing import Any, Literal

import numpy as np
import torch
from odecheck_reference import Problem, sensitivity
from odecheck_reference import flow as reference_flow
from odecheck_reference.bounded import Array
from torch import Tensor, nn

from odecheck import discrete
from odecheck import second_order as _second_order
from odecheck.discrete.tableau import METHODS
from odecheck.engines.base import Engine, GraphEngine, ProductEngine
from odecheck.engines.own import ClosedEngine, DiscreteEngine
from odecheck.errors import Unsupported
from odecheck.solvers import Solver

Quantity = Literal["solution", "gradient", "hvp"]
QUANTITIES: tuple[Quantity, ...] = ("solution", "gradient", "hvp")
Compute = Callable[[nn.Module, Solver, Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]
second_order: Any = _second_order  # its functions take any callable


def compute(quantity: Quantity, engine: Engine) -> Compute:
    """module, solver, y0, ts, loss → the quantity, one flat tensor: states, or (y0, theta) parts.

    Raises Unsupported, when called, for what the engine cannot do; KeyError for another name than those of QUANTITIES.
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
    """The direction of Hessian-vector products in (y0, theta), (size,): the same for everybody."""
    return np.cos(1.0 + 2.0 * np.arange(size))


def _directions(module: nn.Module, y0: Tensor) -> tuple[Tensor, list[Tensor], list[nn.Parameter]]:
    params = [p for p in module.parameters() if p.requires_grad]
    sizes = [y0.numel(), *(p.numel() for p in params)]
    parts = torch.as_tensor(direction(sum(sizes)), dtype=y0.dtype, device=y0.device).split(sizes)
    shaped = [part.view_as(p) for part, p in zip(parts[1:], params, strict=True)]
    return parts[0].view_as(y0), shaped, params


@singledispatch
def hvp(engine: object, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: Any) -> Tensor:
    """The Hessian of loss(solution) in (y0, theta) times `direction`, by reverse mode over reverse mode.

    An engine with a product of its own registers it. Raises Unsupported when solutions are no part of torch's graph.
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


@hvp.register
def _(engine: ClosedEngine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: Any) -> Tensor:
    dy, dp, _ = _directions(module, y0)
    found: list[Tensor] = []

    def solve(field: Any, start: Tensor, times: Tensor, **how: Any) -> Tensor:
        of_y0, of_theta = second_order.hvp(field, start, times, loss, (dy, dp), **how).product
        found.extend([of_y0, *of_theta])
        return start

    solver.solve(solve, module, y0.detach(), ts.detach())
    return torch.cat([part.reshape(-1) for part in found])


@hvp.register
def _(engine: DiscreteEngine, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: Any) -> Tensor:
    dy, dp, _ = _directions(module, y0)
    found: list[Tensor] = []

    def solve(field: Any, start: Tensor, times: Tensor, **how: Any) -> Tensor:
        recorded = discrete.record(field, start, times, **how)
        theta = {name: part[None] for name, part in zip(recorded.parameters, dp, strict=True)}
        got = discrete.hvp(recorded, loss, y0=dy[None], theta=theta or None)
        found.extend([got.y0, *got.theta.values()])
        return start

    if getattr(solver, "method", "") not in METHODS:
        raise Unsupported(f"{solver.name} is no explicit Runge-Kutta method: its steps are not recorded")
    solver.solve(solve, module, y0.detach(), ts.detach())
    return torch.cat([part.reshape(-1) for part in found])


@lru_cache(maxsize=64)
def truth(problem: Problem, quantity: Quantity) -> tuple[Array, float]:
    """What `compute` should have found in exact arithmetic, flat, and the largest error bar of that."""
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
    """max |found − truth| / max |truth|; NaN where that is less than the reference itself is sure of."""
    exact, radius = truth(problem, quantity)
    distance = float(np.abs(found - exact).max())
    return distance / float(np.abs(exact).max()) if distance > radius else float("nan")
