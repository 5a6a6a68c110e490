"""The calls of torchdyn and torchode in the words of `solver_calls`, and diffrax's, which are told from them.

None of them is imported here.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .solver_calls import Adapter, Posed


def _knows_torchdyn(f: types.FunctionType) -> bool:
    return f.__module__ == "torchdyn.numerics.odeint" and f.__qualname__ == "odeint"


def _read_torchdyn(original: types.FunctionType, _: types.FunctionType, how: dict[str, Any]) -> tuple[Posed, Any]:
    """torchdyn.numerics.odeint(f, x, t_span, solver, ...) → (times, solution)."""
    if how.get("return_all_eval") or len(how.get("save_at", ())) or not isinstance(how["t_span"], Tensor):
        raise TypeError("a call that returns other times than t_span")
    others = {k: v for k, v in how.items() if k not in ("f", "x", "t_span")}

    def again(field: Any, y0: Any, t: Tensor, others: Mapping[str, Any]) -> list[Tensor]:
        return [original(f=field, x=y0, t_span=t, **others)[1]]

    solver = how["solver"]
    fixed = getattr(solver, "stepping_class", "") == "fixed" or solver in ("euler", "midpoint", "rk4", "rk-4", "alf")
    posed = _posed(
        "torchdyn",
        "odeint",
        how["f"],
        how["x"],
        how["t_span"],
        _solver_name(solver),
        not fixed,
        (how.get("rtol", 1e-3), how.get("atol", 1e-3)),
        others,
        again,
        told=None,
    )
    return posed, how


def _knows_problem(f: types.FunctionType) -> bool:
    return f.__module__ == "torchdyn.core.problems" and f.__qualname__ == "ODEProblem.odeint"


def _read_problem(original: types.FunctionType, _: types.FunctionType, how: dict[str, Any]) -> tuple[Posed, Any]:
    """ODEProblem.odeint(self, x, t_span, save_at, args) → (times, solution), of every NeuralODE of torchdyn."""
    problem = how["self"]
    if problem.order != 1 or problem.integral_loss is not None or len(how.get("save_at", ())):
        raise TypeError("an integral loss, a field of higher order, or other times than t_span")
    others = {k: v for k, v in how.items() if k not in ("x", "t_span")}

    def again(field: Any, y0: Any, t: Tensor, others: Mapping[str, Any]) -> list[Tensor]:
        return [original(x=y0, t_span=t, **others)[1]]  # the field is that of the problem, which is lent

    adjoint = problem.sensalg != "autograd"
    posed = _posed(
        "torchdyn",
        f"ODEProblem({problem.sensalg})",
        problem.vf,
        how["x"],
        how["t_span"],
        _solver_name(problem.solver),
        problem.solver.stepping_class == "adaptive",
        (problem.rtol, problem.atol),
        others,
        again,
        told=tuple(problem.vf.parameters()) if adjoint else None,
    )
    return posed, how


def _solver_name(solver: Any) -> str:
    return solver if isinstance(solver, str) else type(solver).__name__


def _knows_torchode(f: types.FunctionType) -> bool:
    return f.__module__ == "torchode.adjoints" and f.__qualname__ == "AutoDiffAdjoint.solve"


def _read_torchode(original: types.FunctionType, _: types.FunctionType, how: dict[str, Any]) -> tuple[Posed, Any]:
    """AutoDiffAdjoint.solve(self, problem, term, dt0, args) → Solution, whose rows may have times of their own."""
    problem, method = how["problem"], how["self"].step_method
    term = how.get("term") or method.term
    if problem.t_eval is None or how.get("args") is not None:
        raise TypeError("a solve without t_eval, or with args")
    if not bool((problem.t_eval == problem.t_eval[:1]).all()) or not bool(
        (problem.t_start == problem.t_eval[:, 0]).all()
    ):
        raise TypeError("rows with times of their own")
    others = {k: v for k, v in how.items() if k != "problem"}

    def field(t: Tensor, y: Tensor) -> Tensor:
        return term.f(t.expand(len(y)), y)

    def again(counted: Any, y0: Any, t: Tensor, others: Mapping[str, Any]) -> list[Tensor]:
        rows = t.expand(len(y0), len(t)).contiguous()
        given, inner = type(problem)(y0=y0, t_eval=rows), term.f

        def called(*args: Any) -> Tensor:
            counted.called()
            return inner(*args)

        if isinstance(inner, nn.Module):  # a part of the term that only a module may replace
            inner.register_forward_pre_hook(lambda *_: counted.called())
        else:
            term.f = called
        try:
            return [original(problem=given, **others).ys.transpose(0, 1)]
        finally:
            if not isinstance(inner, nn.Module):
                term.f = inner

    controller = how["self"].step_size_controller
    posed = _posed(
        "torchode",
        "AutoDiffAdjoint.solve",
        field,
        problem.y0,
        problem.t_eval[0],
        type(method).__name__,
        hasattr(controller, "rtol"),
        (getattr(controller, "rtol", 0.0), getattr(controller, "atol", 0.0)),
        {**others, "term": term},
        again,
        told=None,
    )
    posed.outputs = lambda result: [result.ys]
    posed.arranged = lambda y: y.transpose(0, 1)
    posed.named = term.f
    return posed, how


def _knows_diffrax(f: types.FunctionType) -> bool:
    return f.__module__ == "diffrax._integrate" and f.__qualname__ == "diffeqsolve"


def _read_diffrax(original: types.FunctionType, _: types.FunctionType, how: dict[str, Any]) -> tuple[Posed, Any]:
    """A solve that jax traces once and runs compiled, without Python: its numbers are not seen here."""
    adjoint = type(how["adjoint"]).__name__ if "adjoint" in how else "RecursiveCheckpointAdjoint"
    fixed = type(how.get("stepsize_controller")).__name__ in ("NoneType", "ConstantStepSize")
    given, dt0 = ("dt0", "dt0") if fixed else ("rtol, atol", "None")
    control = "" if fixed else "stepsize_controller=diffrax.PIDController(rtol, atol), "
    raise TypeError(
        "jax compiles diffrax's solves and runs them without Python. Verify this one as it stands, in my_solve.py: "
        f"solve = lambda field, y0, ts, args, {given}: diffrax.diffeqsolve(diffrax.ODETerm(field), "
        f"diffrax.{type(how['solver']).__name__}(), ts[0], ts[-1], {dt0}, y0, args, saveat=diffrax.SaveAt(ts=ts), "
        f"{control}"
        f"adjoint=diffrax.{adjoint}()); subjects = odecheck.diffrax_pairs(solve, field, y0, ts, args), and type: "
        "odecheck verify my_solve.py:subjects"
    )


def _posed(
    library: str,
    function: str,
    field: Any,
    y0: Tensor,
    t: Tensor,
    method: str,
    adaptive: bool,
    tolerances: tuple[Any, Any],
    others: dict[str, Any],
    again: Any,
    *,
    told: Any,
) -> Posed:
    rtol, atol = (float(torch.as_tensor(x).max()) for x in tolerances)
    return Posed(
        library=library,
        function=function,
        field=field,
        y0=[y0],
        t=t,
        many=False,
        method=method,
        adaptive=adaptive,
        rtol=rtol,
        atol=atol,
        options={},
        told=told,
        event=False,
        others=others,
        again=again,
        outputs=lambda result: [result[1]],
        adjoint=told is not None,
    )


MORE = (
    Adapter("torchdyn", _knows_torchdyn, _read_torchdyn),
    Adapter("torchdyn", _knows_problem, _read_problem),
    Adapter("torchode", _knows_torchode, _read_torchode),
    Adapter("diffrax", _knows_diffrax, _read_diffrax),
)
