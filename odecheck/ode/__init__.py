"""`odeint`: an ODE solve that can be differentiated, transformed and batched like any other function of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from .arguments import Start, start
from .events import until_event
from .flow import Flow
from .stepping import SolveError, Steps

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Flow", "SolveError", "Start", "Steps", "odeint", "start"]


def odeint(
    field: Callable,
    y0: Float[Tensor, "*state"] | tuple[Float[Tensor, " ..."], ...],
    t: Float[Tensor, " times"],
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    event_fn: Callable | None = None,
    adjoint_rtol: float | None = None,
    adjoint_atol: float | None = None,
    adjoint_method: str | None = None,
    adjoint_options: Mapping[str, Any] | None = None,
    adjoint_params: Sequence[Tensor] | None = None,
    check_field: bool = True,
    unused: Literal["none", "zeros"] = "none",
) -> Any:
    """Solve y' = field(t, y), y(t[0]) = y0, with derivatives of every order that are solves themselves.

    The arguments are those of `torchdiffeq.odeint_adjoint` and two more, and torchdiffeq does the stepping. Reverse
    and forward mode, torch.func's transforms and their compositions work in y0, t and the parameters. The memory needed
    does not depend on the number of steps. Derivatives are those of the flow: they differ from the derivatives of the
    solver's steps by an error of the size of the tolerance.

    Steps end on the requested times, so that no result is interpolated.

    Args:
        field: an nn.Module or a function (t, y) → dy/dt. t is a scalar, y is shaped like y0. Derivatives are taken
            in a module's parameters and floating-point buffers, at the values they had when the solve was made.
            Tensors that a function closes over have to be declared in `adjoint_params`.
        y0: a real floating-point tensor of any shape, or a tuple of them, of one dtype.
        t: (times,) two or more times in increasing or decreasing order, float32 or float64 whatever y0 is. The field
            is given times of y0's dtype.
        rtol: relative tolerance of every step, measured by the largest root mean square over the tensors of the
            state (and over the samples that vmap adds).
        atol: absolute tolerance, measured likewise.
        method: torchdiffeq's; the default is dopri5.
        options: torchdiffeq's, for that method. `options["norm"]` is used for the state alone.
        event_fn: (t, y) → a tensor. The solve starts at t[0], goes in the direction of t[1] and ends where the first
            entry changes its sign. Reverse mode alone, in first order for the event's time. The state there has the
            derivative at a *fixed* time, as torchdiffeq's has: give `odecheck.odeint` to
            `torchdiffeq.odeint_event(..., odeint_interface=odeint)` for a state whose time moves with the event.
        adjoint_rtol: rtol for reverse-mode derivatives; by default that of the solve, and so for the next three.
        adjoint_atol: atol for reverse-mode derivatives.
        adjoint_method: method for reverse-mode derivatives.
        adjoint_options: options for reverse-mode derivatives. `adjoint_options["norm"]` may be "seminorm", which
            takes parameter gradients out of the control of the step size: faster, and able to miss what only
            they see. A function is given (0, states, their adjoints, gradients in adjoint_params), in the caller's
            order, those that require gradients; it decides in first derivatives alone.
        adjoint_params: the tensors to differentiate in, besides y0 and t; by default all of a module's. A
            module's other parameters are then constants.
        check_field: whether backward() evaluates the field once more at the start, to refuse one that has changed
            since the solve. Without, a changed field gives another field's derivative, without a word.
        unused: what the gradient is of a parameter that the field never reads: "none", as in torch, so that no weight
            decay acts on it, or "zeros", as in torchdiffeq.

    Returns:
        The states at the times: (times, *y0.shape), or a tuple of them. The first is y0. With `event_fn` a pair: the
        event's time, and the states at t[0] and there.

    Raises:
        ValueError: times that are not strictly monotone, an unknown method, a field of the wrong shape, or
            that depends on a tensor that is being differentiated and was not declared.
        TypeError: dtypes that are mixed, not real, or not floating-point, a ScriptModule, or tolerances that are
            not numbers.
        NotImplementedError: an event function under a transform of torch.func or forward mode.
        SolveError: the solver gave up: the step size vanished, or a value became infinite or NaN.
        RuntimeError: in backward(), where the field's rate at the start is not what it was in the solve: an attribute
            or a parameter's `.data` was changed in between, or the field draws random numbers.

    Example:
        >>> import torch
        >>> from odecheck.ode import odeint
        >>> y0, t = torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
        >>> hessian = torch.func.hessian(lambda y: odeint(lambda t, y: -y, y, t)[-1].square().sum())(y0)
        >>> torch.allclose(hessian, 2 * torch.exp(torch.tensor(-2.0)).double() * torch.eye(2).double(), rtol=1e-6)
        True
    """
    problem = start(
        field,
        y0,
        t,
        adjoint_params=adjoint_params,
        rtol=rtol,
        atol=atol,
        method=method,
        options=options,
        adjoint_rtol=adjoint_rtol,
        adjoint_atol=adjoint_atol,
        adjoint_method=adjoint_method,
        adjoint_options=adjoint_options,
        check_field=check_field,
        unused=unused,
        ahead=False,
    )
    if event_fn is not None:
        when, out = until_event(problem, t, event_fn, isinstance(y0, Tensor))
        return when, out[0] if isinstance(y0, Tensor) else out
    out = problem.flow.along(t, problem.y0, problem.inputs)
    return out[0] if isinstance(y0, Tensor) else out
