"""A field of one's own without a second formula, and an example state: as (subject, problem) pairs."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from odecheck_reference import Problem, ProblemError
from odecheck_reference.losses import SquaredError
from torch import nn
from torch.nn.parameter import is_lazy

from odecheck.errors import BadInput
from odecheck.fields.callback import CallbackField, Flattened, ModuleFactory, StandIn, flat_parameters
from odecheck.fields.circumstances import Needs, around, needs
from odecheck.fields.declared import Parts, declared
from odecheck.fields.from_jax import FromJax
from odecheck.fields.shaped import AllRows, AsPairs, Beside, as_module, copied
from odecheck.fields.widened import widened
from odecheck.foreign import first_line, literal, said
from odecheck.subject import Subject

from . import presets as shipped
from .at_sight import GIVEN_IN, NOTHING, OWN, remember, seen, step_of, too_stiff

Pair = tuple[Subject, Problem]
Array = np.ndarray[Any, np.dtype[np.float64]]
DEFAULT_TIMES = (0.0, 0.5, 1.0)
Ask = Callable[..., Any]


def _here(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def module_pairs(
    module: Callable[..., Any],
    y0: ArrayLike | torch.Tensor | tuple[torch.Tensor, ...],
    ts: ArrayLike | torch.Tensor | None = None,
    *,
    name: str | None = None,
    parts: Parts | None = None,
    asked: Ask = _here,
) -> list[Pair]:
    """How a plain module is verified, without a second formula of its field: with the default solvers and engines.

    The loss is half the squared distance of the states to fixed numbers. A field that is too stiff for explicit steps
    is solved by scipy's Radau, which has no derivatives.

    Args:
        module: Called as module(t, y): a module, a plain function, a `functools.partial`; a float64 copy is made of it.
            Of a compiled module, what it compiles.
        y0: An example state (batch, *features), each row a separate problem, or a tuple of such parts; one tensor
            without a batch, (numbers,) or (), is taken as it is. Complex numbers are followed as pairs of real ones. A
            field that takes no other batch than this one, as with a control for each row, has it as one state.
        ts: Times (times,), monotone; by default 0, 0.5 and 1.
        name: Of the problem, by default with the name of the module's class.
        parts: Where the module is an HBNODE, a GHBNODE or an AdamNODE: what of it is what, so that the claims of that
            paper are asked as well.
        asked: Calls a function with arguments, which call the field, and gives what it returns, or None where that ends
            badly; by default they are called here.

    Returns:
        (subject, problem) pairs, one for each of the default solvers and engines.

    Raises:
        BadInput: A state or times that are no numbers, or times that are not monotone.
    """
    taken = _taken(module)
    double = _in_double(taken, module)
    given = _rounded(taken, y0)
    tensors = tuple(part for part in y0 if isinstance(part, torch.Tensor)) if isinstance(y0, tuple) else ()
    if isinstance(y0, tuple) and tensors and len(tensors) == len(y0):
        double, y0 = _beside(double, tensors)
    if (isinstance(y0, torch.Tensor) and y0.is_complex()) or (isinstance(y0, np.ndarray) and y0.dtype.kind == "c"):
        numbers = torch.as_tensor(y0).detach().to(torch.complex128)
        double, y0 = AsPairs(double), torch.view_as_real(numbers.resolve_conj())
    start = _numbers("the example state", y0)
    own = isinstance(y0, torch.Tensor) and not isinstance(double, FromJax)  # not typed by hand, and no field of rows
    if start.ndim < 2 and start.size and parts is None and own:
        double, start = AllRows(double, start.shape), start.reshape(1, -1)
    if start.ndim < 2 or start.size == 0:
        raise BadInput(
            f"the example state has shape {start.shape}",
            "a single row without its batch axis",
            "y0[None, :], so that it is (batch, *features)",
        )
    times = _numbers("the times", DEFAULT_TIMES if ts is None else ts)
    field, outside = None, double
    if parts is not None:
        if not isinstance(parts, Parts):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadInput(
                f"the parts are {literal(parts)}",
                "a dictionary or a name in place of a declaration",
                "odecheck.HeavyBallParts(force='net', damping='sigmoid(gamma)'), or odecheck.AdamParts(…)",
            )
        field, double = declared(double, parts, torch.tensor(start))
        outside = double
    else:
        whole, of_jax = isinstance(double, AllRows), isinstance(double, FromJax)
        needed = None if of_jax else asked(functools.partial(needs, converted=given == "float32"), double, start, times)
        needed = needed or Needs()
        outside, double = around(double, replace(needed, graph=False)), around(double, needed)
        if not whole and asked(takes_this_batch_alone, double, start):
            outside, double, start = AllRows(outside, start.shape), AllRows(double, start.shape), start.reshape(1, -1)
    features = start.shape[1:]
    field = field or CallbackField(double, features)
    flat = start.reshape(len(start), -1)
    loss = _distance((times.size, *flat.shape))
    try:
        problem = Problem(
            name or f"{called(module)} at the example state",
            field,
            flat,
            flat_parameters(double),
            times,
            loss,
            source=GIVEN_IN + given if given else OWN,
            independent=False,
        )
    except ProblemError as error:
        raise BadInput(
            str(error),
            "times that repeat, turn back or are too few, or a state with NaN",
            "ts = torch.linspace(0, 1, 3), or the same reversed",
        ) from error
    remember(problem, asked(seen, problem) or NOTHING)
    inside, without = (ModuleFactory(Flattened(one, features)) for one in (double, outside))
    return [
        # a graph is recorded where the steps are differentiated, and there alone
        (Subject(inside if engine.target == "steps" else without, solver, engine), problem)
        for solver, engine in shipped.for_modules(implicit=too_stiff(problem), bent=step_of(problem))
    ]


def _taken(module: Any) -> nn.Module:
    """A field as a module. Raises BadInput of what can be no field, or has no parameters to lend."""
    try:
        taken = as_module(module)
    except TypeError as error:
        raise BadInput(
            str(error), "the result of a field in place of the field", "the module or function itself"
        ) from None
    if any(isinstance(part, torch.jit.ScriptModule) for part in taken.modules()):
        raise BadInput(
            f"{called(module)} is of TorchScript",
            "torch.jit.script or torch.jit.trace, whose parameters cannot be lent for a call",
            "the module that was given to it; a solve of the compiled one is judged by odecheck.watch",
        )
    if lazy := [name for name, p in taken.named_parameters() if is_lazy(p)]:
        raise BadInput(
            f"the parameter {lazy[0]} has no shape yet",
            "a lazy module, which takes its shapes from its first call",
            "field(t, y0), once, before it is verified",
        )
    return taken


def _in_double(taken: nn.Module, module: Any) -> nn.Module:
    """A copy in float64, with all that it holds. Raises BadInput of one that cannot be made."""
    try:
        double = copied(taken).double().cpu()
        double = double if isinstance(double, FromJax) else widened(double)
    except Exception as error:
        raise BadInput(
            f"{called(module)} cannot be copied: {first_line(said(error))}",
            "a lock, an open file, a generator or the like that the module holds",
            "the same outside of the module, in a global or an argument; or def __deepcopy__(self, memo) in its class",
        ) from error
    if found := [name for name, p in double.named_parameters() if p.is_complex()]:
        raise BadInput(
            f"the parameter {found[0]} is complex",
            "a complex weight, of which derivatives would mean two things",
            "its real and imaginary parts as one real parameter: nn.Parameter(torch.view_as_real(w)), and "
            "torch.view_as_complex(self.w) inside forward",
        )
    return double


def _rounded(taken: nn.Module, y0: Any) -> str:
    """The widest dtype of a field that computes in less than float64 by itself; empty of others.

    The constants of one in float32 are to follow it into float64.
    """
    kinds = {x.dtype for x in (*taken.parameters(), *taken.buffers()) if x.is_floating_point()}
    states = cast(Iterable[Any], y0 if isinstance(y0, tuple) else (y0,))
    kinds = kinds or {x.dtype for x in states if isinstance(x, torch.Tensor)}
    if torch.float64 in kinds:
        return ""
    return next(
        (str(x).removeprefix("torch.") for x in (torch.float32, torch.bfloat16, torch.float16) if x in kinds), ""
    )


def called(module: Any) -> str:
    """The name of a field: of a function its own, of a module that of its class."""
    while isinstance(module, functools.partial):
        module = module.func
    if isinstance(module, StandIn):
        return module.called
    return str(getattr(module, "__name__", type(module).__name__))


def _beside(module: nn.Module, parts: tuple[torch.Tensor, ...]) -> tuple[nn.Module, torch.Tensor]:
    """A field on a tuple of parts, and its example state, as rows."""
    if found := [str(part.dtype) for part in parts if part.is_complex()]:
        raise BadInput(
            f"a part of the example state is {found[0]}",
            "a complex part beside others",
            "torch.view_as_real of that part, and torch.complex(y[..., 0], y[..., 1]) of it inside the field",
        )
    if max(part.ndim for part in parts) < 2:
        flat = torch.cat([part.detach().reshape(-1).double() for part in parts])
        return Beside(module, tuple(part.shape for part in parts), alone=True), flat[None]
    rows = {part.shape[0] if part.ndim else 0 for part in parts}
    if len(rows) > 1 or 0 in rows:
        raise BadInput(
            f"the parts of the example state have shapes {[tuple(part.shape) for part in parts]}",
            "a part without a batch axis, or with another batch",
            "parts (batch, *features) of one batch: torch.zeros(len(x), 1) for a log-density",
        )
    shapes = tuple(part.shape[1:] for part in parts)
    return Beside(module, shapes), torch.cat([part.detach().reshape(len(part), -1).double() for part in parts], 1)


def takes_this_batch_alone(module: nn.Module, start: Array) -> bool:
    """Whether a field answers for the example state, and raises for twice as many rows.

    Args:
        module: Called as module(t, y), a copy of it.
        start: The example state (batch, *features).
    """
    y, t = torch.tensor(start), torch.zeros((), dtype=torch.float64)
    probe = copy.deepcopy(module)
    try:
        probe(t, y)
    except (Exception, SystemExit):  # validation says what is wrong
        return False
    try:
        return len(probe(t, torch.cat([y, y]))) != 2 * len(y)
    except (Exception, SystemExit):  # of whatever kind: these rows are not separate
        return True


def _distance(shape: tuple[int, ...]) -> SquaredError:
    """½ |y − target|² at all times but the first, with targets that differ everywhere."""
    weight = np.ones(shape)
    weight[0] = 0.0
    return SquaredError(weight, np.round(np.random.default_rng(0).standard_normal(shape) * 64) / 64)


def _numbers(what: str, x: Any) -> Array:
    try:
        array = x.detach().cpu().double().numpy() if isinstance(x, torch.Tensor) else x
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise BadInput(
            f"{what} is {literal(x)}, and no array of numbers ({first_line(error)})",
            "rows of different lengths, or text",
            "a tensor, or nested lists of one shape: [[1.0, 0.5], [0.2, -1.0]]",
        ) from error
