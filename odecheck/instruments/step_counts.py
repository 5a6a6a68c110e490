"""The one counter of evaluations and steps, of solves and of their derivatives. Nothing is patched.

A subclass of the field's class counts evaluations; steps are counted by the solver's callbacks, or told by an engine
whose library counts its own. Forwards is what happens until the loss is asked for, backwards what happens afterwards:
recorded steps take no more steps for their derivative, a continuous adjoint is a second solve and has some.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from odecheck.compat import physical
from odecheck.solvers import Solver

STEPS = ("accepted_forward", "rejected_forward", "accepted_backward", "rejected_backward")


@dataclass
class Told:
    """What the engines have told a measurement so far.

    direction: which way the solve goes now; the measurement knows it. later: what is asked at the end, such as the
    statistics of a library that keeps them as tensors, and adds to them in a backward solve.
    """

    counts: dict[str, int] = field(default_factory=dict[str, int])
    direction: Literal["forward", "backward"] = "forward"
    later: list[Callable[[], dict[str, int]]] = field(default_factory=list[Callable[[], dict[str, int]]])

    def add(self, **counts: int) -> None:
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + int(count)

    def step(self, *, accepted: bool) -> None:
        """One step, of the direction that is on. Who tells of one tells of all: the others are none."""
        for name in STEPS:
            self.counts.setdefault(name, 0)
        self.counts[f"{'accepted' if accepted else 'rejected'}_{self.direction}"] += 1

    def settled(self) -> dict[str, int]:
        """All of it: name → count."""
        for counts in self.later:
            self.add(**counts())
        self.later.clear()
        return self.counts


class Times:
    """A callback of steps that looks at their times alone: our engines call it without making tensors for it.

    take: (start, state or None, size), start and size being numbers or tensors.
    """

    def __init__(self, take: Callable[[Any, Any, Any], None]) -> None:
        self.take = take

    def __call__(self, start: Any, state: Any, size: Any) -> None:
        self.take(start, state, size)


_TOLD: ContextVar[Told | None] = ContextVar("odecheck_step_counts", default=None)


def listener() -> Told | None:
    """Who measures what is computed now, if anybody does.

    An engine that tells in a backward pass asks for it beforehand: autograd runs that in other threads on a GPU.
    """
    return _TOLD.get()


def tell(**counts: int) -> None:
    """Add to the counts of the measurement around, if there is one: tell(accepted_forward=12, rejected_forward=1)."""
    told = _TOLD.get()
    if told is not None:
        told.add(**counts)


@contextmanager
def listening() -> Generator[Told]:
    """Collect what engines tell within this block."""
    told = Told()
    token = _TOLD.set(told)
    try:
        yield told
    finally:
        _TOLD.reset(token)


# --- counting --------------------------------------------------------------------------------------------------------

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
class Phase:
    """What was counted in one direction. accepted: (start, size) of each step."""

    nfe: int = 0
    rows: int = 0
    rejected: int = 0
    accepted: list[tuple[Time, Time]] = field(default_factory=list["tuple[Time, Time]"])


class Counter:
    """An open count of one field or of several together.

    now: the phase that is on. `loss` stands in for a loss that ends the forward phase; who knows the phases otherwise
    sets it, to `nowhere` for what shall not count.
    """

    def __init__(self, solver: Solver | None = None, rows: bool = False) -> None:
        self.rows = rows
        self.fixed = solver is not None and solver.stepping == "fixed"
        self.forward, self.backward, self.nowhere = Phase(), Phase(), Phase()
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

    def evaluated(self, y: Any = None) -> None:
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
    """Rows of the state that one call evaluates, with those that vmap hides."""
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
    with ExitStack() as ends:
        ends.callback(attach(module, counter))
        counter.told = ends.enter_context(listening())
        yield counter


@contextmanager
def evaluations(module: nn.Module) -> Generator[Phase]:
    """Count the calls of `module` inside this block, and nothing else: the `nfe` of what this gives."""
    counter = Counter()
    with ExitStack() as ends:
        ends.callback(watch_calls(module, counter))
        yield counter.forward


def attach(module: nn.Module, counter: Counter) -> Callable[[], None]:
    """Have the calls and the steps of `module` counted from now on; the result, called, leaves it as it was.

    What was attached last ends first.
    """
    own, calls = vars(module), counter.callbacks()
    kept = {name: own[name] for name in calls if name in own}
    stop = watch_calls(module, counter)
    for name, count in calls.items():
        user = getattr(module, name, None)
        own[name] = count if user is None else _both(count, user)

    def end() -> None:
        for name in calls:
            del own[name]
        own.update(kept)
        stop()

    return end


def watch_calls(module: nn.Module, counter: Counter) -> Callable[[], None]:
    """Have every call of the module counted; the result ends it.

    A hook would do, and does for modules that torch has compiled; but hooks take a module's slow path, which a small
    field feels. A subclass that counts costs a third of that.
    """
    if "forward" in vars(module) or isinstance(module, torch.jit.ScriptModule):
        return module.register_forward_pre_hook(lambda _, args: counter.evaluated(args[1])).remove
    kind, name = type(module), COUNTER
    while name in vars(module):  # it is counted by others as well, who began before
        name += "_"
    vars(module)[name] = counter
    _become(module, _counting(kind, counter.rows, name))

    def stop() -> None:
        _become(module, kind)
        del vars(module)[name]

    return stop


def _become(module: nn.Module, kind: type[nn.Module]) -> None:
    object.__setattr__(module, "__class__", kind)  # not by way of the module's own, which looks for parameters


@lru_cache(maxsize=256)
def _counting(kind: type[nn.Module], rows: bool, name: str) -> type[nn.Module]:
    # an increment and nothing else: small fields feel what is added
    def calls(self: Any, t: Any, y: Any) -> Any:
        self._odecheck_counter.now.nfe += 1
        return kind.forward(self, t, y)

    def calls_of(self: Any, *arguments: Any, **named: Any) -> Any:
        vars(self)[name].evaluated(*arguments[1:2])
        return kind.forward(self, *arguments, **named)

    about = {"__module__": kind.__module__, "__doc__": kind.__doc__}
    plain = name == COUNTER and not rows and _takes_t_and_y(kind)
    return type(kind.__name__, (kind,), {"forward": calls if plain else calls_of, **about})


def _takes_t_and_y(kind: type[nn.Module]) -> bool:
    """Whether `forward` takes (t, y) by these names, and nothing by name alone."""
    code: Any = getattr(kind.forward, "__code__", None)
    return bool(code) and code.co_varnames[1 : code.co_argcount] == ("t", "y") and not code.co_flags & 12


def _both(count: Callable[..., None], user: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        count(*args)
        return user(*args)

    return call
