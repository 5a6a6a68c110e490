"""A torch field as a jax function: the graph of its operations, traced by torch and carried out with jax.numpy.

What is verified with it is a jax library's solver and its derivatives; that the field is the same is checked here, by
its values at drawn times, and states near the start.
"""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

import operator
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from odecheck.errors import Unsupported
from odecheck.fields.from_jax import jax_double

from .base import on_host

# jax's compiler may contract products and sums
AGREE = 1e-12


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes:
        name: torch's name of it.
        args: its arguments, in which ('%', i) is the value of step i.
        kwargs: its keywords, likewise.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class JaxField:
    """A field as a list of operations: equal fields are equal, and are compiled once.

    Attributes:
        steps: the operations, in order.
        result: which of their values is the rate.
    """

    steps: tuple[Step, ...]
    result: Any

    def __call__(self, t: Any, y: Any, params: Any) -> Any:
        """F(t, y) (batch, state) with jax arrays; params: the module's parameters in order."""
        values: list[Any] = []
        given = iter((t, y, *params))
        for step in self.steps:
            if step.name == "input":
                values.append(next(given))
                continue
            args = [_value(a, values) for a in step.args]
            values.append(operations()[step.name](*args, **{k: _value(v, values) for k, v in step.kwargs}))
        return _value(self.result, values)


def _value(argument: Any, values: list[Any]) -> Any:
    if isinstance(argument, tuple):
        if len(argument) == 2 and argument[0] == "%":
            return values[argument[1]]
        return tuple(_value(a, values) for a in argument)
    return argument


@lru_cache(maxsize=1)
def operations() -> dict[str, Callable[..., Any]]:
    """Operations of torch by name, in jax. One that is missing here makes a field Unsupported."""
    import jax
    import jax.numpy as jnp

    def cut(x: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
        index = [slice(None)] * x.ndim
        index[dim] = slice(start, None if end is None or end > 2**62 else end, step)
        return x[tuple(index)]

    def joined(parts: Any, dim: int = 0) -> Any:
        return jnp.concatenate([p for p in parts if p.size or p.ndim > 1], axis=dim)

    def expanded(x: Any, shape: Any) -> Any:
        wide = (1,) * (len(shape) - x.ndim) + x.shape
        return jnp.broadcast_to(x, [w if s == -1 else s for w, s in zip(wide, shape, strict=True)])

    def total(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        return jnp.sum(x, axis=None if dim is None else tuple(dim), keepdims=keepdim)

    same: dict[str, Callable[..., Any]] = {
        "add.Tensor": jnp.add,
        "sub.Tensor": jnp.subtract,
        "mul.Tensor": jnp.multiply,
        "div.Tensor": jnp.divide,
        "neg.default": jnp.negative,
        "sin.default": jnp.sin,
        "cos.default": jnp.cos,
        "tanh.default": jnp.tanh,
        "exp.default": jnp.exp,
        "log.default": jnp.log,
        "sqrt.default": jnp.sqrt,
        "abs.default": jnp.abs,
        "sigmoid.default": jax.nn.sigmoid,
        "relu.default": jax.nn.relu,
        "softplus.default": lambda x, beta=1.0, _threshold=20.0: jnp.logaddexp(beta * x, 0.0) / beta,
        "pow.Tensor_Scalar": jnp.power,
        "lt.Scalar": jnp.less,
        "lt.Tensor": jnp.less,
        "gt.Scalar": jnp.greater,
        "ge.Scalar": jnp.greater_equal,
        "le.Scalar": jnp.less_equal,
        "where.self": jnp.where,
        "mm.default": jnp.matmul,
        "t.default": jnp.transpose,
        "zeros_like.default": lambda x, **_: jnp.zeros_like(x),
        "ones_like.default": lambda x, **_: jnp.ones_like(x),
        "rsub.Scalar": lambda x, s: s - x,
        "addmm.default": lambda bias, a, b: bias + a @ b,
        "gelu.default": lambda x: jax.nn.gelu(x, approximate=False),
        "cat.default": joined,
        "slice.Tensor": cut,
        "expand.default": expanded,
        "sum.default": total,
        "sum.dim_IntList": total,
        "getitem": operator.getitem,
        "stack.default": lambda parts, dim=0: jnp.stack(parts, axis=dim),
        "unbind.int": lambda x, dim=0: tuple(jnp.moveaxis(x, dim, 0)),
        "select.int": lambda x, dim, index: jnp.take(x, index, axis=dim),
        "unsqueeze.default": lambda x, dim: jnp.expand_dims(x, dim),
        "squeeze.dim": lambda x, dim: jnp.squeeze(x, dim),
        "view.default": lambda x, shape: jnp.reshape(x, shape),
        "detach.default": jax.lax.stop_gradient,
        "_to_copy.default": lambda x, **_: x,
        "clone.default": lambda x, **_: x,
    }
    return same


_KEPT: ContextVar[dict[Any, Any] | None] = ContextVar("odecheck_traced", default=None)


@contextmanager
def traced_once() -> Generator[None]:
    """Trace each field once within this block, as where solves are timed: a user of jax has a field of jax.

    Elsewhere a field is traced at every solve, since what it does may have changed.
    """
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def jax_field(module: nn.Module, y0: Tensor) -> JaxField:
    """Trace a module's field and translate it.

    Args:
        module: the field, called with t of shape () and y.
        y0: a state (batch, state), of the shape and number type of all states to come.

    Returns:
        The field as a function of jax arrays.

    Raises:
        Unsupported: what torch cannot trace, an operation without a translation, a translation that gives other values,
            or a tensor on another device than the CPU.
    """
    on_host("jax", (y0, *module.parameters(), *module.buffers()))
    kept = _KEPT.get()
    if kept is None:
        return _traced(module, y0)
    key = id(module), y0.shape, y0.dtype
    if key not in kept:
        kept[key] = _traced(module, y0), module  # held, so that no other module gets its id
    return kept[key][0]


def _traced(module: nn.Module, y0: Tensor) -> JaxField:
    params = dict(module.named_parameters())

    def call(t: Tensor, y: Tensor, *values: Tensor) -> Tensor:
        return functional_call(module, dict(zip(params, values, strict=True)), (t, y))

    given = [torch.tensor(0.25, dtype=y0.dtype), y0.detach(), *(p.detach() for p in params.values())]
    try:
        graph = make_fx(call)(*given).graph
    except Exception as error:
        raise Unsupported(f"torch cannot trace the field for jax: {type(error).__name__}: {error}") from error
    places: dict[Any, int] = {}
    steps: list[Step] = []
    result: Any = None
    for node in graph.nodes:
        if node.op == "output":
            result = _argument(node.args[0], places)
            continue
        name = "input" if node.op == "placeholder" else _name(node.target)
        if name != "input" and name not in operations():
            raise Unsupported(f"the field has the operation {name}, which has no translation into jax yet")
        args, kwargs = ((), {}) if name == "input" else (node.args, node.kwargs)
        places[node] = len(steps)
        steps.append(
            Step(name, _argument(tuple(args), places), tuple((k, _argument(v, places)) for k, v in kwargs.items()))
        )
    found = JaxField(tuple(steps), result)
    _agrees(found, call, given)
    return found


def _name(target: Any) -> str:
    return target.__name__ if target is operator.getitem else str(target).removeprefix("aten.")


def _argument(argument: Any, places: dict[Any, int]) -> Any:
    if isinstance(argument, torch.fx.Node):
        return ("%", places[argument])
    if isinstance(argument, list | tuple):
        return tuple(_argument(a, places) for a in argument)
    return argument if isinstance(argument, int | float | str | type(None)) else str(argument)


def _agrees(found: JaxField, call: Callable[..., Tensor], given: list[Tensor]) -> None:
    jnp = jax_double().numpy
    drawn = np.random.default_rng(0)
    for t in (-0.5, 0.25, 1.0):
        near = given[1] + 0.1 * torch.from_numpy(drawn.standard_normal(given[1].shape))
        at = [torch.tensor(t, dtype=torch.float64), near, *given[2:]]
        with torch.no_grad():
            true = call(*at).numpy()
        t_, y, *params = (jnp.asarray(x.numpy()) for x in at)
        got = np.asarray(found(t_, y, params))
        if got.shape != true.shape or not np.max(np.abs(got - true)) <= AGREE * max(1.0, float(np.max(np.abs(true)))):
            raise Unsupported(f"the field's translation into jax is off by {np.max(np.abs(got - true)):.2g} at t = {t}")
