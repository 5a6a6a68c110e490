"""`odeint`: an ODE solve that can be differentiated, transformed and batched like any other function of torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .fields import batch_levels
from .flow import Flow
from .stepping import SolveError, Steps
from .user_field import UserField, is_differentiating

__all__ = ["Flow", "SolveError", "Steps", "UserField", "odeint"]


def odeint(
    field: Callable,
    y0: Tensor | tuple[Tensor, ...],
    t: Tensor,
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    event_fn: None = None,
    adjoint_rtol: float | None = None,
    adjoint_atol: float | None = None,
    adjoint_method: str | None = None,
    adjoint_options: Mapping[str, Any] | None = None,
    adjoint_params: Sequence[Tensor] | None = None,
) -> Any:
    """Solve y' = field(t, y), y(t[0]) = y0, with derivatives of every order that are solves themselves.

    The arguments are those of `torchdiffeq.odeint_adjoint`, and torchdiffeq does the stepping. Reverse and forward
    mode, torch.func's transforms and their compositions work in y0, t and the parameters. The memory needed does
    not depend on the number of steps. Derivatives are those of the flow: they differ from the derivatives of the
    solver's steps by an error of the size of the tolerance.

    Steps end on the requested times, so that no result is interpolated.

    Args:
        field: an nn.Module or a function (t, y) → dy/dt. t is a scalar, y is shaped like y0. Derivatives are taken
            in a module's parameters and floating-point buffers, at the values they had when the solve was made.
            Tensors that a function closes over have to be declared in `adjoint_params`.
        y0: a real floating-point tensor of any shape, or a tuple of them, of one dtype.
        t: (times,) two or more times in increasing or decreasing order, of y0's dtype.
        rtol, atol: relative and absolute tolerance of every step, measured by the largest root mean square over
            the tensors of the state (and over the samples that vmap adds).
        method, options: torchdiffeq's; the default is dopri5. `options["norm"]` is used for the state alone.
        event_fn: not supported.
        adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options: the same for reverse-mode derivatives; by
            default those of the solve. `adjoint_options["norm"]` may be "seminorm", which takes parameter
            gradients out of the control of the step size: faster, and able to miss what only they see.
        adjoint_params: the tensors to differentiate in, besides y0 and t; by default all of a module's. A
            module's other parameters are then constants.

    Returns:
        The states at the times: (times, *y0.shape), or a tuple of them. The first is y0.

    Raises:
        ValueError: times that are not strictly monotone, an unknown method, a field of the wrong shape, or
            that depends on a tensor that is being differentiated and was not declared.
        TypeError: dtypes that are mixed, not real, or not floating-point, a ScriptModule, or tolerances that are
            not numbers.
        NotImplementedError: an event function.
        SolveError: the solver gave up: the step size vanished, or a value became infinite or NaN.

    Example:
        >>> import torch
        >>> from odecheck.ode import odeint
        >>> y0, t = torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
        >>> hessian = torch.func.hessian(lambda y: odeint(lambda t, y: -y, y, t)[-1].square().sum())(y0)
        >>> torch.allclose(hessian, 2 * torch.exp(torch.tensor(-2.0)).double() * torch.eye(2).double(), rtol=1e-6)
        True
    """
    if event_fn is not None:
        raise NotImplementedError("events are not supported: solve to a fixed time, or use torchdiffeq.odeint_event")
    single = isinstance(y0, Tensor)
    leaves = (y0,) if isinstance(y0, Tensor) else tuple(y0)
    forward, backward = _plan(
        rtol, atol, method, options, adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options
    )
    wrapped = UserField(field, single, len(leaves), adjoint_params)
    _check_start(leaves, t)
    _check_parameters(wrapped, leaves[0].dtype)
    if is_differentiating():
        wrapped.refuse_hidden_tensors(t[0], leaves)
    out = Flow(wrapped, forward, backward).along(t, leaves, wrapped.inputs)
    return out[0] if single else out


def _plan(rtol, atol, method, options, adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options):
    method = method or "dopri5"
    if adjoint_method not in (None, method) and options and adjoint_options is None:
        raise ValueError(
            f"options {sorted(options)} are for {method}; say which ones {adjoint_method} takes: adjoint_options={{...}}"
        )
    options = dict(options or {})
    if adjoint_options is None:
        adjoint_options = {key: value for key, value in options.items() if key != "norm"}
    forward = Steps(_number("rtol", rtol), _number("atol", atol), method, options)
    backward = Steps(
        forward.rtol if adjoint_rtol is None else _number("adjoint_rtol", adjoint_rtol),
        forward.atol if adjoint_atol is None else _number("adjoint_atol", adjoint_atol),
        adjoint_method or method,
        dict(adjoint_options),
    )
    return forward, backward


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be one number, not {type(value).__name__}: scale the state instead") from error


def _check_start(leaves: Sequence[Tensor], t: Tensor) -> None:
    if not leaves or not all(isinstance(x, Tensor) for x in (*leaves, t)):
        raise TypeError("y0 must be a tensor or a non-empty tuple of tensors, and t a tensor")
    kinds = {x.dtype for x in leaves}
    if len(kinds) > 1:
        raise TypeError(f"the tensors of y0 have dtypes {sorted(map(str, kinds))}: type .to() so that they have one")
    dtype = leaves[0].dtype
    if dtype not in (torch.float32, torch.float64):
        raise TypeError(f"y0 is {dtype}: pass float32 or float64 (of a complex state, torch.view_as_real)")
    if t.dtype != dtype:
        raise TypeError(f"t is {t.dtype} and y0 {dtype}: pass t.to({dtype})")
    if t.dim() != 1 or len(t) < 2:
        raise ValueError(f"t has shape {tuple(t.shape)}: pass two or more times, torch.tensor([t0, t1, ...])")
    if batch_levels(t):
        return  # each sample has its own times, which have no one truth value
    gaps = t.detach().diff()
    if not (bool((gaps > 0).all()) or bool((gaps < 0).all())):
        raise ValueError(
            f"t must be strictly increasing or strictly decreasing, and is {t.detach().tolist()}. Repeated times are "
            "the usual cause: solve at t.unique() and index the result."
        )


def _check_parameters(field: UserField, dtype: torch.dtype) -> None:
    for x in field.inputs:
        if x.requires_grad and x.dtype != dtype:
            raise TypeError(
                f"a parameter of shape {tuple(x.shape)} is {x.dtype} and the state {dtype}. "
                f"Type field.to({dtype}), or y0.to({x.dtype})."
            )

