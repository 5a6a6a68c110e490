"""What the user asks for, checked, and turned into a field, a state, parameters and a way to step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .fields import batch_levels
from .flow import Flow
from .stepping import Steps
from .user_field import UserField, is_differentiating


@dataclass(frozen=True)
class Start:
    """A solve about to begin.

    Attributes:
        flow: the user's field and how to step it.
        y0: the tensors of the state.
        inputs: every tensor that the field depends on, in the order in which it takes them.
        wanted: the indices of those inputs that require gradients: the parameters theta.
    """

    flow: Flow
    y0: tuple[Tensor, ...]
    inputs: list[Tensor]
    wanted: tuple[int, ...]


def start(
    field: Callable,
    y0: Tensor | tuple[Tensor, ...],
    t: Tensor,
    *,
    running_cost: Callable | None = None,
    adjoint_params: Sequence[Tensor] | None = None,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    adjoint_rtol: float | None = None,
    adjoint_atol: float | None = None,
    adjoint_method: str | None = None,
    adjoint_options: Mapping[str, Any] | None = None,
) -> Start:
    """Check the arguments of `odeint`, whose docstring describes them and the errors raised.

    `running_cost(t, y)` is a scalar whose integral is computed along with the state, as a quadrature. It may read
    the field's parameters, and have parameters of its own if it is an nn.Module.
    """
    leaves = (y0,) if isinstance(y0, Tensor) else tuple(y0)
    forward, backward = _plan(rtol, atol, method, options, adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options)
    _check_start(leaves, t)
    wrapped = UserField(field, isinstance(y0, Tensor), len(leaves), adjoint_params, running_cost)
    _check_parameters(wrapped, leaves[0].dtype)
    if is_differentiating():
        wrapped.refuse_hidden_tensors(t[0], leaves)
    wanted = tuple(i for i, x in enumerate(wrapped.inputs) if x.requires_grad)
    return Start(Flow(wrapped, forward, backward), leaves, wrapped.inputs, wanted)


def _plan(rtol, atol, method, options, adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options):
    method = method or "dopri5"
    if adjoint_method not in (None, method) and options and adjoint_options is None:
        raise ValueError(
            f"options {sorted(options)} are for {method}; say which ones {adjoint_method} takes: "
            "adjoint_options={...}"
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
