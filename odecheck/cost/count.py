"""Counting a solve exactly, without patching anything: calls of the field by a
subclass of it that counts, steps by the solver's callbacks.

Forwards is what happens until the loss is asked for, backwards what happens afterwards. The derivative of recorded
steps takes no steps of its own; a continuous adjoint is a second solve and has some.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.compat import physical
from odecheck.instruments.step_counts import Times, Told, listening
from odecheck.solvers import Solver

COUNTER = "_odecheck_counter"
Time = Tensor | float
# two times closer than this, in units of the whole interval, are the same time rounded differently
SAME = 1e-9


@dataclass(frozen=True)
class Counts:
    """What one solve (and its derivative) did. None: neither the library nor its callbacks tell.

    nfe: calls of the field, each with a whole batch. rows: rows of the batch in these calls, added up.
    dense_evaluations: outputs inside a step, that only an interpolant can give; those of both directions.
    """

    nfe_forward: int | None
    nfe_backward: int | None
    rows_forward: int | None
    rows_backward: int | None
    accepted_forward: int | None
    rejected_forward: int | None
    accepted_backward: int | None
    rejected_backward: int | None
    dense_evaluations: int | None


@dataclass
class _Phase:
    nfe: int = 0
    rows: int = 0
    rejected: int = 0
    accepted: list[tuple[Time, Time]] = field(default_factory=list["tuple[Time, Time]"])


class Counter:
    """An open count. `loss` has to stand in for the loss, so that the two phases can be told apart."""

    def __init__(self, solver: Solver, rows: bool = False) -> None:
        self.rows = rows
        self.fixed = solver.stepping == "fixed"
        self.forward, self.backward = _Phase(), _Phase()
        self.now = self.forward
        self.told = Told()

    @property
    def elsewhere(self) -> bool:
        """Whether the field was evaluated by another framework, whose engine tells how often."""
        return "nfe_forward" in self.told.counts

    def loss(self, loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """The same loss. The first call of it ends the forward phase."""

        def marked(*states: Any) -> Tensor:
            self.now, self.told.direction = self.backward, "backward"
            return loss(*states)

        return marked

    def evaluated(self, y: Any) -> None:
        self.now.nfe += 1
        if self.rows:
            self.now.rows += _rows(y)

    def __deepcopy__(self, _memo: Any) -> Counter:
        return self  # a copy of the field is counted as well

    def callbacks(self) -> dict[str, Callable[..., None]]:
        """Callbacks by the names that torchdiffeq looks for on a field, of solves and of adjoint solves."""
        # a fixed-step solver has one callback only, and warns of others
        if self.fixed:
            plain: dict[str, Callable[..., None]] = {"callback_step": Times(self._accepts)}
        else:
            plain = {
                "callback_accept_step": Times(self._accepts),
                "callback_reject_step": Times(self._rejects),
            }
        return {**plain, **{f"{name}_adjoint": call for name, call in plain.items()}}

    def _accepts(self, t: Time, _y: Any, dt: Time) -> None:
        # what are tensors stay tensors: to read them here would make a GPU wait
        if isinstance(t, Tensor) and isinstance(dt, Tensor):
            t, dt = t.detach(), dt.detach()
        self.now.accepted.append((t, dt))

    def _rejects(self, _t: Time, _y: Any, _dt: Time) -> None:
        self.now.rejected += 1

    def counts(self, ts: Tensor) -> Counts:
        """The counts, of a solve for outputs at ts (times,)."""
        seen = bool(self.forward.nfe or self.backward.nfe)  # not so when another framework evaluates the field
        called = bool(self.forward.accepted)
        whole = float(ts[-1] - ts[0])
        inside: int | None = None
        if called:
            forwards = _inside(self.forward.accepted, ts[1:].tolist(), whole, 1.0)
            inside = forwards + _inside(self.backward.accepted, ts[:-1].tolist(), whole, -1.0)

        told = self.told.settled()

        def number(name: str, counted: int, known: bool) -> int | None:
            return told.get(name, counted if known else None)

        return Counts(
            nfe_forward=number("nfe_forward", self.forward.nfe, seen),
            nfe_backward=number("nfe_backward", self.backward.nfe, seen),
            rows_forward=number("rows_forward", self.forward.rows, seen and self.rows),
            rows_backward=number("rows_backward", self.backward.rows, seen and self.rows),
            accepted_forward=number("accepted_forward", len(self.forward.accepted), called),
            rejected_forward=number("rejected_forward", self.forward.rejected, called),
            accepted_backward=number("accepted_backward", len(self.backward.accepted), called),
            rejected_backward=number("rejected_backward", self.backward.rejected, called),
            dense_evaluations=number("dense_evaluations", inside or 0, called),
        )


def _rows(y: Any) -> int:
    """Rows of the state that one call evaluates, those that vmap hides from the field included."""
    if not isinstance(y, Tensor) or y.dim() < 2:
        return 1
    return len(y) * (physical(y).numel() // max(1, y.numel()))


def _inside(steps: list[tuple[Time, Time]], outputs: list[float], whole: float, direction: float) -> int:
    """How many outputs lie strictly inside a step. whole: the interval with its sign; direction: −1 backwards."""
    sign = direction * math.copysign(1.0, whole)
    margin = SAME * abs(whole)
    spans = [(float(t), float(t) + sign * float(dt)) for t, dt in steps]
    return sum(any(min(span) + margin < at < max(span) - margin for span in spans) for at in outputs)


@contextmanager
def counted(module: nn.Module, solver: Solver, *, rows: bool = False) -> Generator[Counter]:
    """Count what is done with `module` inside this block. Callbacks that the module has itself are called as well.

    rows: count the rows of every call too, which takes longer than to count calls. Afterwards the module is as it was.
    """
    counter = Counter(solver, rows)
    own = vars(module)
    calls = counter.callbacks()
    kept = {name: own[name] for name in calls if name in own}
    stop = _watch(module, counter)
    for name, count in calls.items():
        user = getattr(module, name, None)
        own[name] = count if user is None else _both(count, user)
    try:
        with listening() as counter.told:
            yield counter
    finally:
        for name in calls:
            del own[name]
        own.update(kept)
        stop()


def _watch(module: nn.Module, counter: Counter) -> Callable[[], None]:
    """Have every call of the module counted; the result ends it.

    A hook would do, and does for modules that torch has compiled; but hooks take a module's slow path, which a small
    field feels. A subclass that counts costs a third of that.
    """
    if "forward" in vars(module) or isinstance(module, torch.jit.ScriptModule):
        return module.register_forward_pre_hook(lambda _, args: counter.evaluated(args[1])).remove
    kind = type(module)
    vars(module)[COUNTER] = counter
    _become(module, _counting(kind, counter.rows))

    def stop() -> None:
        _become(module, kind)
        del vars(module)[COUNTER]

    return stop


def _become(module: nn.Module, kind: type[nn.Module]) -> None:
    object.__setattr__(module, "__class__", kind)  # not by way of the module's own, which looks for parameters


@lru_cache(maxsize=256)
def _counting(kind: type[nn.Module], rows: bool) -> type[nn.Module]:
    def calls(self: Any, t: Any, y: Any) -> Any:  # an increment and nothing else: small fields feel what is added
        self._odecheck_counter.now.nfe += 1
        return kind.forward(self, t, y)

    def calls_and_rows(self: Any, t: Any, y: Any) -> Any:
        self._odecheck_counter.evaluated(y)
        return kind.forward(self, t, y)

    about = {"__module__": kind.__module__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), {"forward": calls_and_rows if rows else calls, **about})


def _both(count: Callable[..., None], user: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        count(*args)
        return user(*args)

    return call
