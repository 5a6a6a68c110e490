"""A vector field of jax, an equinox module for instance, as a torch module: every claim can then be asked of it.

Values, and derivatives of any order by reverse mode, are computed by jax in float64; torch sees one operation, whose
backward pass is another such operation. Forward mode is not there, and torch says so: nested, it would lose tangents.
"""

# pyright: standard, reportIncompatibleMethodOverride=false
# (jax comes with partial types)
from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from odecheck.errors import BadInput, needed

from .callback import StandIn

COMPLEX = (
    "complex numbers, of which derivatives would mean two things",
    "their real and imaginary parts as two real arrays, (x.real, x.imag), put together inside: x[0] + 1j * x[1]",
)


@lru_cache(maxsize=1)
def jax_double() -> Any:
    """The module jax, which computes in double precision from then on.

    Raises:
        BadInput: jax is not installed.
    """
    (jax,) = needed("peers", "jax")
    jax.config.update("jax_enable_x64", True)
    return jax


class FromJax(StandIn):
    """A field of jax, called as field(t, y, args) on one row, as diffrax calls it, as a module on batches of rows.

    jax computes in float64 from then on, in this whole process.

    Args:
        field: A function of (t, y, args) with y (*features), or a pytree that can be called so, such as an
            `equinox.Module`. Its arrays of floating point numbers are the parameters.
        args: What it is given as args; arrays of floating point numbers in it are parameters too, after those of the
            field.
        layout: Of a state that is a pytree, an `odecheck.fields.jax_state.Layout`: a row is then the numbers of one.

    Raises:
        BadInput: The field cannot be called, an array is complex, or jax is not installed.
    """

    def __init__(self, field: Callable[..., Any], args: Any = None, layout: Any = None) -> None:
        super().__init__()
        self.layout = layout
        if not callable(field):
            raise BadInput(
                f"the field is {type(field).__name__}, which cannot be called",
                "the parameters in place of the field",
                "odecheck.FromJax(field, args), with field(t, y, args)",
            )
        leaves, tree = jax_double().tree_util.tree_flatten((field, args))
        self.others, self.tree = [None if is_parameter(leaf) else leaf for leaf in leaves], tree
        for i, leaf in enumerate(leaves):
            if hasattr(leaf, "shape") and np.issubdtype(getattr(leaf, "dtype", None), np.complexfloating):
                raise BadInput(f"the field, or its args, has an array of {leaf.dtype}", *COMPLEX)
            if is_parameter(leaf):
                self.register_parameter(f"leaf_{i}", nn.Parameter(torch.from_numpy(np.array(leaf))))

    @property
    def called(self) -> str:
        """The name of the field, or of its class."""
        field, _ = jax_double().tree_util.tree_unflatten(self.tree, self.others)
        return str(getattr(field, "__name__", type(field).__name__))

    @cached_property
    def _operation(self) -> _Operation:
        jax, places = jax_double(), [int(name.removeprefix("leaf_")) for name, _ in self.named_parameters()]
        others, tree, layout = list(self.others), self.tree, self.layout

        def slopes(field: Any, t: Any, row: Any, args: Any) -> Any:
            return field(t, row, args) if layout is None else layout.vector(field(t, layout.state(row), args))

        def rates(t: Any, y: Any, *parameters: Any) -> tuple[Any]:
            leaves = list(others)
            for place, value in zip(places, parameters, strict=True):
                leaves[place] = value
            field, args = jax.tree_util.tree_unflatten(tree, leaves)
            return (jax.vmap(lambda row: slopes(field, t, row, args))(y),)

        return _Operation(rates, 2 + len(places), 1)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The slopes of all rows, (batch, *features)."""
        return _Call.apply(self._operation, t.to(y.dtype), y, *self.parameters())[0]  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: dict[int, Any]) -> FromJax:
        made = type(self).__new__(type(self))
        nn.Module.__init__(made)
        made.others, made.tree, made.layout = self.others, self.tree, self.layout  # jax changes nothing in place
        for name, parameter in self.named_parameters():
            made.register_parameter(name, nn.Parameter(parameter.detach().clone(), parameter.requires_grad))
        made.__dict__["_operation"] = self._operation  # it has no numbers of its own, and is compiled once
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (pickled((*self.whole(), self.layout)), [p.requires_grad for p in self.parameters()])

    def whole(self, parameters: Sequence[Any] | None = None) -> tuple[Any, Any]:
        """The field and its args, as jax has them.

        Args:
            parameters: Arrays in the place of `parameters()`, in their order; by default what those are now.
        """
        leaves = list(self.others)
        given = [p.detach().numpy().copy() for p in self.parameters()] if parameters is None else parameters
        for (name, _), value in zip(self.named_parameters(), given, strict=True):
            leaves[int(name.removeprefix("leaf_"))] = value
        return jax_double().tree_util.tree_unflatten(self.tree, leaves)


def _made(whole: bytes, learnt: list[bool]) -> FromJax:
    made = FromJax(*pickle.loads(whole))
    for parameter, wanted in zip(made.parameters(), learnt, strict=True):
        parameter.requires_grad_(wanted)
    return made


def _public(place: str, name: str) -> Any:
    return getattr(getattr(jax_double(), place), name)


def pickled(whole: Any) -> bytes:
    """Functions of jax, which do not let themselves be pickled, by their public names; lambdas by their code."""
    (cloudpickle,) = needed("peers", "cloudpickle")

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            name = getattr(obj, "__name__", "")
            for place in ("numpy", "nn", "lax"):
                if callable(obj) and getattr(getattr(jax_double(), place), name, None) is obj:
                    return _public, (place, name)
            return super().reducer_override(obj)

    file = io.BytesIO()
    Pickler(file).dump(whole)
    return file.getvalue()


def is_parameter(leaf: Any) -> bool:
    """Whether a leaf of a pytree is an array of floating point numbers, half precision among them."""
    return hasattr(leaf, "dtype") and hasattr(leaf, "shape") and np.issubdtype(leaf.dtype, np.floating)


def is_of_jax(field: object) -> bool:
    """Whether something is an equinox module: a field of jax that says so itself."""
    return any(kind.__module__.partition(".")[0] == "equinox" for kind in type(field).__mro__)


@dataclass(eq=False)
class _Operation:
    """A function of so many jax arrays, that gives a tuple of so many."""

    function: Callable[..., tuple[Any, ...]]
    inputs: int
    outputs: int

    @cached_property
    def compiled(self) -> Callable[..., tuple[Any, ...]]:
        return jax_double().jit(self.function)

    @cached_property
    def pulled(self) -> _Operation:
        """What takes the inputs, and a cotangent for each output, to a cotangent for each input."""

        def pull(*given: Any) -> tuple[Any, ...]:
            _, back = jax_double().vjp(self.function, *given[: self.inputs])
            return back(tuple(given[self.inputs :]))

        return _Operation(pull, self.inputs + self.outputs, self.inputs)


@lru_cache(maxsize=64)
def _mapped(operation: _Operation, dims: tuple[int | None, ...]) -> _Operation:
    """The same over a further axis of some inputs: one object, so that it is compiled once."""
    function = jax_double().vmap(operation.function, in_axes=dims)
    return _Operation(function, operation.inputs, operation.outputs)


class _Call(torch.autograd.Function):
    generate_vmap_rule = False

    @staticmethod
    def forward(operation: _Operation, *inputs: Tensor) -> tuple[Tensor, ...]:
        arrays = [jax_double().numpy.asarray(x.detach().numpy()) for x in inputs]
        found = operation.compiled(*arrays)
        return tuple(torch.from_numpy(np.array(x)).to(inputs[-1].dtype) for x in found)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.operation = inputs[0]
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Any, ...]:
        return None, *_Call.apply(ctx.operation.pulled, *ctx.saved_tensors, *cotangents)  # type: ignore[misc]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], operation: _Operation, *inputs: Tensor) -> tuple[Any, Any]:
        found = _Call.apply(_mapped(operation, in_dims[1:]), *inputs)
        return found, (0,) * len(found)
