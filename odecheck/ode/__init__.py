"""`odeint`: an ODE solve that can be differentiated, transformed and batched like any other function of torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from .arguments import Start, start
from .flow import Flow
from .stepping import SolveError, Steps

__all__ = ["Flow", "SolveError", "Start", "Steps", "odeint", "start"]


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
        rtol: relative tolerance of every step, measured by the largest root mean square over the tensors of the
            state (and over the samples that vmap adds).
        atol: absolute tolerance, measured likewise.
        method: torchdiffeq's; the default is dopri5.
        options: torchdiffeq's, for that method. `options["norm"]` is used for the state alone.
        event_fn: not supported.
        adjoint_rtol: rtol for reverse-mode derivatives; by default that of the solve, and so for the next three.
        adjoint_atol: atol for reverse-mode derivatives.
        adjoint_method: method for reverse-mode derivatives.
        adjoint_options: options for reverse-mode derivatives. `adjoint_options["norm"]` may be "seminorm", which
            takes parameter gradients out of the control of the step size: faster, and able to miss what only
            they see.
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
    if event_fn is not None:
        raise NotImplementedError("events are not supported: solve to a fixed time, or use torchdiffeq.odeint_event")
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
    )
    out = problem.flow.along(t, problem.y0, problem.inputs)
    return out[0] if isinstance(y0, Tensor) else out
