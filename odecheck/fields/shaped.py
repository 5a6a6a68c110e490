"""What people call a field, as a module on one state of rows: plain functions, partials, tuples, whole batches."""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from odecheck.compat import uncompiled

from .callback import StandIn
from .from_jax import FromJax, is_of_jax
from .functions import copied_function, held_by


class OfFunction(StandIn):
    """A plain function or a partial, with the modules and parameters that it reaches as its own.

    Reached are closures, globals that the code names, arguments of a `functools.partial`, defaults, the object of a
    bound method, and what lists, tuples and dictionaries among them hold. A deep copy has copies of all of them, and a
    function that reaches these. Where `torch.func.functional_call` replaces a parameter that is of no module, such a
    function is called as well.

    Args:
        function: Called as function(t, y).
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.names = dict[str, str]()
        # what a replaced parameter stands for; and what is not copied with the function then
        self._alone, self._kept = dict[str, nn.Parameter](), list[Any]()
        for i, (name, held) in enumerate(held_by(function, "", set())):
            self._kept.append(held)
            if isinstance(held, nn.Module):
                self.add_module(f"module_{i}", held)
                self.names[f"module_{i}"] = name
            elif isinstance(held, nn.Parameter):
                self.register_parameter(f"parameter_{i}", held)
                self.names[f"parameter_{i}"], self._alone[f"parameter_{i}"] = name, held

    def own_name(self, name: str) -> str:
        """How the user calls one of its parameters: by the variable that leads there."""
        first, dot, rest = name.partition(".")
        return f"{self.names.get(first) or first}{dot}{rest}"

    @property
    def called(self) -> str:
        """The name of the function, or of the class of the object that is called."""
        function = self.function
        while isinstance(function, functools.partial):
            function = function.func
        name = getattr(function, "__name__", type(function).__name__)
        return type(getattr(function, "__self__", None)).__name__ if name == "__call__" else name

    def forward(self, t: Tensor, y: Any) -> Any:
        """The function's value."""
        replaced = {id(p): new for name, p in self._alone.items() if (new := getattr(self, name)) is not p}
        if not replaced:
            return self.function(t, y)
        memo = {id(x): x for x in self._kept} | replaced
        return copied_function(self.function, memo)(t, y)

    def __deepcopy__(self, memo: dict[int, Any]) -> OfFunction:
        return OfFunction(copied_function(self.function, memo))


def as_module(field: Any) -> nn.Module:
    """A field as a module: itself, what a compiled or a data-parallel one is made of, or a module of a plain function.

    Args:
        field: Called as field(t, y).

    Returns:
        The module.

    Raises:
        TypeError: It cannot be called.
    """
    if isinstance(field, nn.Module):
        around = isinstance(field, nn.DataParallel | nn.parallel.DistributedDataParallel)
        inner = getattr(cast(object, field), "module" if around else "_orig_mod", None)
        return as_module(inner) if isinstance(inner, nn.Module) else field
    field = uncompiled(field)
    if is_of_jax(field):
        return FromJax(field)
    if not callable(field):
        raise TypeError(f"{type(field).__name__} cannot be called as field(t, y)")
    plain = isinstance(field, (types.FunctionType, types.MethodType, functools.partial))
    return OfFunction(cast(Callable[..., Any], field if plain else field.__call__))


def copied(module: nn.Module) -> nn.Module:
    """A deep copy of a module, also of one that holds results of the last call, as weight norm does.

    Args:
        module: Any module.

    Returns:
        The copy; in place of what has a graph there are its numbers.
    """
    results = (x for part in module.modules() for x in _results(list(vars(part).values())))
    return copy.deepcopy(module, {id(x): x.detach().clone() for x in results})


def _results(values: Any) -> Iterator[Tensor]:
    """The tensors with a graph among values, in lists, tuples and dictionaries too."""
    for value in values:
        if isinstance(value, Tensor) and not value.is_leaf:
            yield value
        elif isinstance(value, list | tuple):
            yield from _results(value)
        elif isinstance(value, dict):
            yield from _results(value.values())


class Beside(StandIn):
    """A field on a tuple of parts, seen as one on rows (batch, numbers): the parts of a row side by side.

    Args:
        inner: Called as inner(t, (part, …)).
        shapes: The axes of each part behind the batch.
        alone: The parts have no batch: the field is called for each row.
    """

    def __init__(self, inner: nn.Module, shapes: tuple[torch.Size, ...], alone: bool = False) -> None:
        super().__init__()
        self.inner, self.shapes, self.alone = inner, shapes, alone

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The slopes of all parts, side by side in each row."""
        if self.alone:
            return torch.stack([self._row(t, row) for row in y])
        pieces = torch.split(y, [shape.numel() for shape in self.shapes], dim=1)
        parts = tuple(p.reshape(len(y), *shape) for p, shape in zip(pieces, self.shapes, strict=True))
        return torch.cat([part.reshape(len(y), -1) for part in self.inner(t, parts)], dim=1)

    def _row(self, t: Tensor, row: Tensor) -> Tensor:
        pieces = torch.split(row, [shape.numel() for shape in self.shapes])
        parts = tuple(p.reshape(shape) for p, shape in zip(pieces, self.shapes, strict=True))
        return torch.cat([part.reshape(-1) for part in self.inner(t, parts)])


class AsPairs(StandIn):
    """A field on complex numbers, seen as one on their real and imaginary parts, in a last axis of two.

    Args:
        inner: Called as inner(t, z), z (batch, *features), complex128. Its complex buffers are made complex128.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        for buffer in inner.buffers():
            if buffer.is_complex():
                buffer.data = buffer.data.to(torch.complex128)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The slopes (batch, *features, 2)."""
        value = self.inner(t, torch.complex(y[..., 0], y[..., 1]))  # a view would ask for an even place in memory
        return torch.view_as_real(value) if value.is_complex() else value


class AllRows(StandIn):
    """A field that takes its batch as a whole, a control for each row for instance, seen as one on a single row.

    Args:
        inner: Called as inner(t, y), y (batch, *features).
        shape: (batch, *features).
    """

    def __init__(self, inner: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.inner, self.shape = inner, shape

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The slopes of the whole batch, as one row; of several such batches one after the other."""
        return torch.cat([self.inner(t, row.reshape(self.shape)).reshape(1, -1) for row in y])
