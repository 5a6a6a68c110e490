"""Where a field keeps its tensors, and how to lend it others for a while."""

import functools
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from odecheck.compat import own_buffers, own_parameters, tree_map

from .fields import Leaves


def modules_of(func: Any) -> list[nn.Module]:
    """The modules that a callable is, is bound to, or closes over, directly or through other functions."""
    # no function that calls itself: it would hold itself, and with it what it found, until Python looks for circles
    found: list[nn.Module] = []
    seen: dict[int, Any] = {}  # an id stands for an object only while that lives
    left: list[Any] = [func]
    while left:
        x = left.pop()
        if id(x) in seen:
            continue
        seen[id(x)] = x
        if isinstance(x, nn.Module):
            found.append(x)
        else:
            left += reversed(_reached(x))
    return found


def _reached(x: Any) -> list[Any]:
    """What a callable is made of, and closes over."""
    if isinstance(x, functools.partial):
        return [x.func, *x.args, *x.keywords.values()]
    if inspect.ismethod(x):
        return [x.__func__, x.__self__, *getattr(x.__self__, "__dict__", {}).values()]
    if inspect.isfunction(x) and not (x.__module__ or "").startswith("torch."):
        names = inspect.getclosurevars(x)
        return [*names.nonlocals.values(), *names.globals.values(), *(x.__defaults__ or ())]
    if callable(x) and not inspect.isclass(x):
        return [*getattr(x, "__dict__", {}).values()]
    return []


def tensors_of(module: nn.Module) -> Iterator[tuple[dict, str, Tensor]]:
    """The floating-point parameters and buffers of a module and its parts: (where it is kept, its name, itself).

    Raises:
        TypeError: a ScriptModule.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise TypeError(
            "the parameters of a ScriptModule cannot be swapped, which derivatives of any order need. "
            "Pass the nn.Module that it was scripted from."
        )
    for part in module.modules():
        for holder in (own_parameters(part), own_buffers(part)):
            for name, tensor in holder.items():
                if tensor is not None and tensor.is_floating_point():
                    yield holder, name, tensor


@contextmanager
def swapped(slots: Sequence[Sequence[tuple[dict, str]]], tensors: Leaves) -> Iterator[None]:
    """While active, other tensors are in the places of the modules' own.

    Args:
        slots: for each tensor the places, (where it is kept, its name), that it goes to.
        tensors: what goes there; those beyond the slots are left out.
    """
    before = [[holder[name] for holder, name in places] for places in slots]
    for places, tensor in zip(slots, tensors, strict=False):
        for holder, name in places:
            holder[name] = tensor
    try:
        yield
    finally:
        for places, tensor, olds in zip(slots, tensors, before, strict=False):
            for (holder, name), old in zip(places, olds, strict=True):
                if holder[name] is tensor:  # else the field assigned it itself: its own state, left alone
                    holder[name] = old


class Substitute(TorchFunctionMode):
    """While active, operations see `table[id(x)]` wherever they are given x.

    Attributes:
        table: id of a tensor → what stands for it.
        met: ids that an operation was given.
    """

    def __init__(self, table: dict[int, Tensor]):
        super().__init__()
        self.table = table
        self.met: set[int] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*tree_map(self._swap, args), **tree_map(self._swap, kwargs or {}))

    def _swap(self, x: Any) -> Any:
        if id(x) not in self.table:
            return x
        self.met.add(id(x))
        return self.table[id(x)]
