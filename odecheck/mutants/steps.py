"""Mistakes that vanish as steps become short, or that a tolerance covers up: orders, estimates, counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.engines.base import Derivatives, Engine, LossFn
from odecheck.errors import NotApplicable
from odecheck.solvers import Adaptive, FixedStep, Toleranced

from .base import Wrong, wrong_engine, wrong_field


def _finer(engine: Engine, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
    if isinstance(solver, Adaptive):
        step = solver.options.get("max_step", 1.0) / 2
        solver = replace(solver, options={**solver.options, "first_step": step, "max_step": step})
    else:
        solver = solver.refined()
    return engine.gradient(module, solver, y0, ts, loss)


OF_FINER_STEPS = wrong_engine("derivatives of steps half as long", gradient=_finer)


def _step_of(solver: Any) -> float:
    return float(getattr(solver, "step", 0.0) or solver.options.get("max_step", 0.0))


def _first_order(engine: Engine, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
    got, by = engine.gradient(module, solver, y0, ts, loss), 1 + 0.3 * _step_of(solver)
    return replace(got, y0=by * got.y0, theta=by * got.theta)


FIRST_ORDER_ERROR = wrong_engine("a gradient with an error of first order in the step", gradient=_first_order)


def _lower_gradient(engine: Engine, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn) -> Any:
    return engine.gradient(module, _lower(solver), y0, ts, loss)


def _lower(solver: Any) -> Any:
    """A solver of lower order on the same steps."""
    if solver.order == 1 or not _step_of(solver):
        raise NotApplicable("there is no method of lower order on these steps")
    return FixedStep("euler" if solver.order == 2 else "midpoint", _step_of(solver))


OF_LOWER_ORDER = wrong_engine("the gradient of a method of lower order", gradient=_lower_gradient)
LOWER_FORMULA = wrong_engine(
    "an adaptive method goes on with a formula of lower order",
    solution=lambda e, m, s, y0, ts: e.solution(m, _lower(s), y0, ts),
)
OTHER_FLOW = wrong_field("field times 1.05", lambda f, t, y: 1.05 * f(t, y))


def _at(change: Any) -> Any:
    def solution(engine: Engine, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
        if not isinstance(solver, Toleranced):
            raise NotApplicable("the solver has no tolerance that can be chosen")
        rtol = change(solver.rtol)
        atol = None if solver.atol is None else solver.atol * rtol / solver.rtol
        return engine.solution(module, solver.with_tolerance(rtol, atol), y0, ts)

    return solution


TENTH_OF_THE_ESTIMATE = wrong_engine("an error estimate of a tenth", solution=_at(lambda rtol: 10 * rtol))
CONSTANT_TOLERANCE = wrong_engine("steps that do not follow the tolerance", solution=_at(lambda rtol: 1e-6))
SQUARED_TOLERANCE = wrong_engine("the tolerance to the power of 1.5", solution=_at(lambda rtol: rtol**1.5))


def _past_hooks(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    """A second solve, whose evaluations nobody counts: what counts is a subclass of the field's class."""
    uncounted: Any = type(module).__mro__[1].forward  # type: ignore[attr-defined]
    with torch.no_grad():
        engine.solution(Wrong(nn.Identity(), lambda _, t, y: uncounted(module, t, y)), solver, y0, ts)
    return engine.solution(module, solver, y0, ts)


UNCOUNTED = wrong_engine("evaluations of the field that are not counted", solution=_past_hooks)
