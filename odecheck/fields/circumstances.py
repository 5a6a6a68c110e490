"""What a field needs around each call to be asked at all, or asked in float64: another default dtype, a graph, a count.

A verdict takes many more calls than the solve of a training, so a limit on their count is lifted.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from odecheck_reference.bounded import Array
from torch import Tensor, nn

from odecheck.compat import is_transforming
from odecheck.foreign import words

from .callback import StandIn

# name of a submodule, attribute of it → a whole number
Counts = dict[tuple[str, str], int]
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


class WithoutLimit(_Around):
    """A field that counts its calls and may raise beyond a number of them: where it raises, it begins to count anew.

    Of a value that the count enters nothing is hidden: a count goes on where nothing is raised.

    Args:
        inner: Called as inner(t, y).
        counts: Of a submodule's name and an attribute, where it begins.
    """

    def __init__(self, inner: nn.Module, counts: Counts) -> None:
        super().__init__(inner)
        self.counts = counts

    def forward(self, t: Tensor, y: Any) -> Any:
        """The field's value."""
        try:
            return self.inner(t, y)
        except Exception:
            if _counts(self.inner, self.counts) == self.counts:
                raise
            for (name, attribute), begin in self.counts.items():
                setattr(self.inner.get_submodule(name), attribute, begin)
            return self.inner(t, y)


def _counts(field: nn.Module, of: Iterable[tuple[str, str]] | None = None) -> Counts:
    """Whole numbers that a field or a part of it holds: these, or all."""
    parts: dict[str, nn.Module] = dict(field.named_modules())  # pyright: ignore[reportUnknownArgumentType]
    places = of if of is not None else [(name, a) for name, part in parts.items() for a in vars(part)]
    return {(name, a): vars(parts[name])[a] for name, a in places if type(vars(parts[name]).get(a)) is int}


@dataclass(frozen=True)
class Needs:
    """What a field needs around its calls.

    Attributes:
        double: torch's default dtype in float64.
        graph: A graph from its state on.
        counts: Whole numbers that every call of it changes, as they were before.
    """

    double: bool = False
    graph: bool = False
    counts: Counts = field(default_factory=dict[tuple[str, str], int])


def needs(asked: nn.Module, y0: Array, ts: Array, *, converted: bool) -> Needs:
    """What a field needs around its calls, by its answers at the example state and at a time in the window.

    Args:
        asked: Called as asked(t, y), in float64; copies of it are called.
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
                return around(copy.deepcopy(asked), needed)(t.clone(), y.clone()).cpu()
        except (Exception, SystemExit) as error:
            return words(error)

    either = (False, True) if converted else (False,)
    graph = any(_asks_for_a_graph(answer(Needs(double=one))) for one in either)
    plain, *wide = (answer(Needs(one, graph)) for one in either)
    graph = graph and not all(map(_asks_for_a_graph, (plain, *wide)))
    double = any(not _same(plain, one) and _same(answer(Needs(True, graph)), one) for one in wide)
    counting = copy.deepcopy(asked)
    begin, called = _counts(counting), around(counting, Needs(double, graph))
    with contextlib.suppress(Exception, SystemExit), torch.no_grad():
        called(t.clone(), y.clone())
    after = _counts(counting)
    return Needs(double, graph, {place: n for place, n in begin.items() if after.get(place) != n})


def around(inner: nn.Module, needed: Needs) -> nn.Module:
    """A field with what it needs around its calls.

    Args:
        inner: Called as inner(t, y).
        needed: What `needs` gave.

    Returns:
        The field, or a module around it.
    """
    inside = WithoutLimit(inner, needed.counts) if needed.counts else inner
    inside = DoubleByDefault(inside) if needed.double else inside
    return WithGraph(inside) if needed.graph else inside


def _asks_for_a_graph(answer: Tensor | str) -> bool:
    return isinstance(answer, str) and any(part in answer for part in WITHOUT_GRAPH)


def _same(one: Any, other: Any) -> bool:
    """Whether two answers are the same tensor, to the last bit and in the same dtype; what was raised is no answer."""
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return False
    return one.dtype == other.dtype and one.shape == other.shape and bool(torch.equal(one, other))
