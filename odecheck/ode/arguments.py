"""What the user asks for, checked, and turned into a field, a state, parameters and a way to step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from .fields import batch_levels
from .flow import Flow
from .stepping import Steps
from .user_field import UserField, is_differentiating, is_plain

if TYPE_CHECKING:
    from jaxtyping import Float


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
    y0: Float[Tensor, "*state"] | tuple[Float[Tensor, " ..."], ...],
    t: Float[Tensor, " times"],
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
    check_field: bool = True,
    unused: Literal["none", "zeros"] = "none",
    ahead: bool = True,
) -> Start:
    """Check the arguments of `odeint` and make of them a field, a state, parameters and a way to step.

    Args:
        field: as for `odeint`, and so are all but `running_cost`.
        y0: as for `odeint`.
        t: as for `odeint`.
        running_cost: running_cost(t, y) is a scalar whose integral is computed along with the state, as a quadrature.
            It may read the field's parameters, and have parameters of its own if it is an nn.Module.
        adjoint_params: as for `odeint`.
        rtol: as for `odeint`.
        atol: as for `odeint`.
        method: as for `odeint`.
        options: as for `odeint`.
        adjoint_rtol: as for `odeint`.
        adjoint_atol: as for `odeint`.
        adjoint_method: as for `odeint`.
        adjoint_options: as for `odeint`.
        check_field: as for `odeint`.
        unused: as for `odeint`.
        ahead: whether the field is evaluated once ahead of the solve, to see what it depends on. If not, the first
            evaluation of the solve is looked at, unless something is being transformed, batched or differentiated
            forwards.

    Raises:
        ValueError: as `odeint`.
        TypeError: as `odeint`.
    """
    leaves = (y0,) if isinstance(y0, Tensor) else tuple(y0)
    forward, backward = _plan(rtol, atol, method, options, adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options)
    _check_start(leaves, t)
    if unused not in ("none", "zeros"):
        raise ValueError(f"unused is 'none' or 'zeros', not {unused!r}")
    declared = None if adjoint_params is None else tuple(adjoint_params)
    wrapped = UserField(
        field, isinstance(y0, Tensor), len(leaves), declared, running_cost, check_field, unused == "zeros"
    )
    _check_parameters(wrapped, leaves[0].dtype)
    if is_differentiating() and (ahead or not is_plain(t, *leaves, *wrapped.inputs)):
        wrapped.refuse_hidden_tensors(t[0], leaves)
    elif is_differentiating():
        wrapped.look_at_first_evaluation()
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
    if t.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"t is {t.dtype}: pass t.to({dtype})")
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
