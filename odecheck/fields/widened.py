"""What a module holds beside its parameters and buffers, in float64 as they are: controls, graphs, time grids."""

from __future__ import annotations

import functools
import types
from typing import Any, cast

import torch
from torch import Tensor, nn

from .functions import copied_function, is_plain, reached
from .shaped import OfFunction

# attributes of every module, which `Module.double` takes care of, and hooks
_OWN = frozenset(vars(nn.Module()))


def widened(module: nn.Module) -> nn.Module:
    """A module that is a copy already, with every tensor of float32 that it reaches in float64.

    `Module.double` takes parameters and buffers along, and leaves what stands in attributes, in lists and plain objects
    in them, in the object of a bound method and in the closure of a function: a sum of both dtypes raises, or rounds.

    Args:
        module: A deep copy, in float64. What it reaches is changed; functions are replaced by copies.

    Returns:
        The same module.
    """
    _Widening(module)
    return module


class _Widening:
    """One pass over what a module reaches.

    Attributes:
        memo: What is not to be copied with a function, as `copy.deepcopy` has it, and the copies.
        wide: Tensors of float32 and what stands for them.
    """

    def __init__(self, module: nn.Module) -> None:
        known = (*module.modules(), *module.parameters(), *module.buffers())
        self.memo: dict[int, Any] = {id(x): x for x in known}
        self.wide = dict[int, tuple[Tensor, Tensor]]()
        self.seen = dict[int, Any]()
        for part in module.modules():
            self._attributes(part)

    def _attributes(self, holder: Any) -> None:
        if id(holder) in self.seen:
            return
        self.seen[id(holder)] = holder
        attributes = cast(dict[str, Any], vars(holder))
        for name, value in list(attributes.items()):
            if isinstance(holder, nn.Module) and name in _OWN:
                continue
            if isinstance(holder, OfFunction) and name == "function":  # a copy already
                self._function(value)
            elif (new := self._value(value)) is not value:
                object.__setattr__(holder, name, new)

    def _value(self, value: Any) -> Any:
        """The value in float64: itself, changed inside, where it can be."""
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, tuple):
            return self._tuple(cast(tuple[Any, ...], value))
        if isinstance(value, types.FunctionType | functools.partial):
            made = copied_function(value, self.memo)
            if made is not value:  # it has cells and globals of its own
                self._function(made)
            return made
        if isinstance(value, types.MethodType):
            self._attributes(value.__self__)
        elif isinstance(value, list | dict):
            self._items(cast(list[Any] | dict[Any, Any], value))
        elif is_plain(value):
            if isinstance(value, nn.Module) and id(value) not in self.memo:  # registered nowhere
                value.double()
            self._attributes(value)
        return cast(Any, value)

    def _tensor(self, value: Tensor) -> Tensor:
        if value.dtype != torch.float32 or isinstance(value, nn.Parameter) or id(value) in self.memo:
            return value
        made = value.detach().double().requires_grad_(value.requires_grad)
        return self.wide.setdefault(id(value), (value, made))[1]

    def _tuple(self, value: tuple[Any, ...]) -> Any:
        new = [self._value(x) for x in value]
        if all(a is b for a, b in zip(value, new, strict=True)):
            return value
        kind: Any = type(value)
        return kind(*new) if hasattr(kind, "_fields") else kind(new)

    def _items(self, value: list[Any] | dict[Any, Any]) -> None:
        if id(value) in self.seen:
            return
        self.seen[id(value)] = value
        for key, x in list(value.items() if isinstance(value, dict) else enumerate(value)):
            if (new := self._value(x)) is not x:
                value[key] = new

    def _function(self, value: Any) -> None:
        """What a copy of a function, a partial or a bound method reaches."""
        if id(value) in self.seen:
            return
        self.seen[id(value)] = value
        if isinstance(value, functools.partial):
            part = cast(Any, value)
            self._function(part.func)
            args, more = self._tuple(part.args), {k: self._value(x) for k, x in part.keywords.items()}
            part.__setstate__((part.func, args, more, vars(part)))
        elif isinstance(value, types.MethodType):
            self._attributes(value.__self__)
        elif isinstance(value, types.FunctionType):
            for cell in value.__closure__ or ():
                try:
                    cell.cell_contents = self._value(cell.cell_contents)
                except ValueError:  # an empty cell
                    continue
            held = {name: x for name, x in reached(value).items() if isinstance(x, Tensor)}
            value.__globals__.update({name: self._tensor(x) for name, x in held.items()})
