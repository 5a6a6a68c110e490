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
    found: list[nn.Module] = []
    seen: set[int] = set()

    def visit(x: Any) -> None:
        if id(x) in seen:
            return
        seen.add(id(x))
        if isinstance(x, nn.Module):
            found.append(x)
        elif isinstance(x, functools.partial):
            for part in (x.func, *x.args, *x.keywords.values()):
                visit(part)
        elif inspect.ismethod(x):
            for part in (x.__func__, x.__self__, *getattr(x.__self__, "__dict__", {}).values()):
                visit(part)
        elif inspect.isfunction(x) and not (x.__module__ or "").startswith("torch."):
            names = inspect.getclosurevars(x)
            for part in (*names.nonlocals.values(), *names.globals.values(), *(x.__defaults__ or ())):
                visit(part)
        elif callable(x) and not inspect.isclass(x):
            for part in getattr(x, "__dict__", {}).values():
                visit(part)

    visit(func)
    return found


def tensors_of(module: nn.Module) -> Iterator[tuple[dict, str, Tensor]]:
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
    """While active, operations see `table[id(x)]` wherever they are given x."""

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
