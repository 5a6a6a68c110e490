"""What a field needs around each call to be asked at all, or asked in float64: another default dtype, a graph."""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from odecheck_reference.bounded import Array
from torch import Tensor, nn

from odecheck.compat import is_transforming
from odecheck.foreign import words

from .callback import StandIn

# what torch says where a derivative is asked of something that no graph leads to
WITHOUT_GRAPH = ("does not require grad", "does not have a grad_fn", "to not have been used in the graph")
# a share of the window that no short number is: at its ends a rounded time hides
INTERIOR = 0.3819660112501051


@contextmanager
def default_double() -> Generator[None]:
    """torch.set_default_dtype(float64), for a block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class _Around(StandIn):
    """A field with something around each of its calls: inner, called as inner(t, y)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner


class DoubleByDefault(_Around):
    """A field whose forward makes numbers of torch's default dtype, which is float64 while it is called.

    The float64 copy of a module that computes in float32 computes in float64: parameters, buffers, what else it holds,
    and so also `torch.ones(len(y), 1) * t` and `torch.eye(n)` in its forward.

    Args:
        inner: Called as inner(t, y).
    """

    def forward(self, t: Tensor, y: Any) -> Any:
        """The field's value."""
        with default_double():
            return self.inner(t, y)


class WithGraph(_Around):
    """A field that differentiates inside, called as where a graph is recorded: by backpropagation through a solver.

    Args:
        inner: Called as inner(t, y).
    """

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The field's value, with a graph where the caller records one."""
        if is_transforming():
            return self.inner(t, y)
        recorded = torch.is_grad_enabled()
        with torch.enable_grad():
            value = self.inner(t, y if y.requires_grad else y.detach().requires_grad_())
        return value if recorded else value.detach()


@dataclass(frozen=True)
class Needs:
    """What a field needs around its calls.

    Attributes:
        double: torch's default dtype in float64.
        graph: A graph from its state on.
    """

    double: bool = False
    graph: bool = False


def needs(field: nn.Module, y0: Array, ts: Array, *, converted: bool) -> Needs:
    """What a field needs around its calls, by its answers at the example state and at a time in the window.

    Args:
        field: Called as field(t, y), in float64; copies of it are called.
        y0: (batch, *features).
        ts: (times,).
        converted: Whether it computes in float32 by itself: of one that is in float64, numbers of float32 are its own.

    Returns:
        What makes it answer where it raises, or answer otherwise; nothing where that is no help, or it draws its
        answers: validation says then in words what is wrong.
    """
    ends = np.ravel(ts)[[0, -1]] if ts.size else np.zeros(2)
    t, y = torch.tensor(ends[0] + INTERIOR * (ends[1] - ends[0]), dtype=torch.float64), torch.tensor(y0)

    def answer(needed: Needs) -> Tensor | str:
        try:
            with torch.no_grad():
                return around(copy.deepcopy(field), needed)(t.clone(), y.clone()).cpu()
        except (Exception, SystemExit) as error:
            return words(error)

    either = (False, True) if converted else (False,)
    graph = any(_asks_for_a_graph(answer(Needs(double=one))) for one in either)
    plain, *wide = (answer(Needs(one, graph)) for one in either)
    graph = graph and not all(map(_asks_for_a_graph, (plain, *wide)))
    double = any(not _same(plain, one) and _same(answer(Needs(True, graph)), one) for one in wide)
    return Needs(double, graph)


def around(field: nn.Module, needed: Needs) -> nn.Module:
    """A field with what it needs around its calls.

    Args:
        field: Called as field(t, y).
        needed: What `needs` gave.

    Returns:
        The field, or a module around it.
    """
    field = DoubleByDefault(field) if needed.double else field
    return WithGraph(field) if needed.graph else field


def _asks_for_a_graph(answer: Tensor | str) -> bool:
    return isinstance(answer, str) and any(part in answer for part in WITHOUT_GRAPH)


def _same(one: Any, other: Any) -> bool:
    """Whether two answers are the same tensor, to the last bit and in the same dtype; what was raised is no answer."""
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return False
    return one.dtype == other.dtype and one.shape == other.shape and bool(torch.equal(one, other))
