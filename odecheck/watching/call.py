"""What is kept of one solve of a training step: as it was called, what it gave, and what came back through it."""

from __future__ import annotations

import sys
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from odecheck.foreign import said

from .held import Held, Memo
from .random_state import generators
from .solver_calls import Posed, name_of

# frames of these folders are libraries, and not the place where a user called a solver
_LIBRARIES = tuple({sysconfig.get_paths()[name] for name in ("purelib", "platlib", "stdlib")})
OWN_SOLVE = "_SolveBackward"
# nodes of the graph between what a solve to an event gives and its backward solve, at most
NEAR = 40
# what puts tensors one behind the other, and what leaves the first number the first
JOINS = ("StackBackward", "CatBackward")
VIEWS = ("ViewBackward", "ReshapeAlias", "Unsqueeze", "ToCopy", "Clone", "Alias")
# kinds of device without float64
NO_DOUBLE = ("mps",)
_OWN = str(Path(__file__).parents[1])


@dataclass
class Call:
    """One solve: number n of the step, called at `where`.

    start: y0 as it was, detached. times: where the state is, as a solver hands them on. solution: what the step got,
    detached, behind the states the time of an event. cotangent: dL/d(solution) that backward() brought, summed over
    the backward passes; None where none came. random: the states of torch's generators. real: by tensor, what the
    step's own backward solve gave, where that is one node of the graph; `real_y0` flat, `real_t`. moved: what had
    changed when that backward solve began. problem: why the solve cannot be judged, or nothing. autocast: the dtype of
    `torch.autocast` around the solve; autocast_backward: whether it was there around backward() as well.
    """

    number: int
    where: str
    posed: Posed
    start: list[Tensor]
    times: Tensor
    times_ask: bool
    starts_ask: list[bool]
    random: list[Tensor]
    grad_mode: bool
    start_time_asks: bool = True
    autocast: torch.dtype | None = None
    autocast_backward: bool = False
    held: Held | None = None
    solution: list[Tensor] | None = None
    cotangent: list[Tensor] | None = None
    real: dict[int, Tensor] = field(default_factory=dict)
    real_y0: Tensor | None = None
    real_t: Tensor | None = None
    backward_began: bool = False
    backward_seconds: float = float("nan")
    seconds: float = float("nan")
    moved: list[str] = field(default_factory=list)
    start_moved: bool = False
    unreached: list[str] = field(default_factory=list)
    raised: str = ""
    problem: str = ""

    @property
    def field_name(self) -> str:
        """The name of the field, as a table shows it."""
        return name_of(self.posed.field if self.posed.named is None else self.posed.named)

    @property
    def device(self) -> torch.device:
        """Where its state is."""
        return (self.start[0] if self.start else self.times).device

    @property
    def event_time(self) -> float | None:
        """The time of the event that the solve ended at; None of a solve to fixed times."""
        return float(self.solution[-1]) if self.posed.event and self.solution is not None else None

    @property
    def window(self) -> Tensor:
        """The times of the rows of the solution: of a solve to an event the first, and that of the event."""
        if not self.posed.event or self.solution is None:
            return self.times
        return torch.stack([self.times[0], self.solution[-1].reshape(()).to(self.times)])

    @property
    def rates_in_time_matter(self) -> bool:
        """Whether a gradient has ∂f/∂t in it: that in the first time has, and all of steps on a grid of the times."""
        return self.times_ask and (self.start_time_asks or not (self.posed.adaptive or self.posed.adjoint))

    def rows_of(self, parts: list[Tensor]) -> Tensor:
        """States at the times as (times, states) in float64, of the parts of a solution or of its cotangents."""
        n = len(self.window)
        return torch.cat([y.double().reshape(n, -1) for y in parts[: len(self.start)]], 1)

    def arrived(self, i: int, cotangent: Tensor) -> None:
        """A cotangent of output i."""
        if self.solution is None:
            return
        if self.cotangent is None:
            self.cotangent = [torch.zeros_like(y) for y in self.solution]
        self.cotangent[i] = self.cotangent[i] + cotangent.detach()
        self.autocast_backward = torch.is_autocast_enabled(self.device.type)


def kept(number: int, posed: Posed, memo: Memo) -> Call:
    """A call as it stands before the solver runs. Raises NotKept, or whatever a user's objects raise when looked at."""
    call = Call(
        number=number,
        where=_where(),
        posed=posed,
        start=[y.detach().clone() for y in posed.y0],
        times=posed.t.detach().clone().to(posed.y0[0].device if posed.y0 else posed.t.device),
        times_ask=posed.t.requires_grad,
        start_time_asks=first_asks(posed.t),
        starts_ask=[y.requires_grad for y in posed.y0],
        random=generators(),
        grad_mode=torch.is_grad_enabled(),
    )
    if call.device.type in NO_DOUBLE:
        call.problem = (
            f"its state is on {call.device.type}, which has no float64 to know the truth in: watch this step with the "
            'model and its batch on the CPU, .to("cpu")'
        )
        return call
    if torch.is_autocast_enabled(call.device.type):
        call.autocast = torch.get_autocast_dtype(call.device.type)
    call.held = Held((posed.field, posed.others), memo)
    return call


def first_asks(t: Tensor) -> bool:
    """Whether anybody asks for the gradient in the first of the times: not where it is a constant beside learned ones.

    Seen are torch.stack and torch.cat with a constant in front, the usual ways to write a learned end.
    """
    node = t.grad_fn
    while node is not None and node.name().startswith(JOINS + VIEWS):
        node = node.next_functions[0][0]
        if node is None:
            return False
    return t.requires_grad


def inside_a_transform(number: int, library: str, function: str) -> Call:
    """A call inside of a transform of torch.func, as a row that says so."""
    call = not_understood(number, library, function, RuntimeError())
    call.problem = (
        "it is solved inside of a transform of torch.func (vmap, grad, ...), whose tensors do not outlive it: "
        "the same solve of one row, or of the batch, without the transform would be judged"
    )
    return call


def not_understood(number: int, library: str, function: str, error: Exception) -> Call:
    """A call that no adapter can read, as a row that says so."""
    empty = torch.empty(0)
    posed = Posed(
        library, function, None, [], empty, False, "", False, 0.0, 0.0, {}, None, False, {}, lambda *_: [], lambda _: []
    )
    call = Call(number, _where(), posed, [], empty, False, [], [], torch.is_grad_enabled())
    call.problem = f"this call is not understood: {said(error)}"
    return call


def _where() -> str:
    """file:line of the innermost frame that is no library's."""
    frame, first = sys._getframe(1), ""
    while frame is not None:
        file = frame.f_code.co_filename
        name = f"{file.rsplit('/', 1)[-1]}:{frame.f_lineno}"
        if not file.startswith(_OWN):
            first = first or name
            if not file.startswith(_LIBRARIES):
                return name
        frame = frame.f_back
    return first


def listen_backward(call: Call, result: Any) -> None:
    """Hooks on what a solver gave: for the cotangents, and for the result of a backward solve that is one node."""
    if call.problem:
        return
    ys = call.posed.outputs(result)
    arranged = call.posed.arranged
    call.solution = [arranged(y.detach()).clone() for y in ys]
    if call.posed.event:  # its time is no number of the state
        call.solution[-1] = call.solution[-1].reshape(())
    call.start_moved = any(not torch.equal(a, b.detach()) for a, b in zip(call.start, call.posed.y0, strict=True))
    for i, y in enumerate(ys):
        if y.requires_grad:
            y.register_hook(_harmless(lambda g, i=i: call.arrived(i, arranged(g))))
    node = (_behind_the_event if call.posed.event else _backward_solve)(ys[0].grad_fn)
    if node is None:
        return
    began, owners = [0.0], _owners(node, call)

    def before(_: Any) -> None:
        call.backward_began, began[0] = True, time.process_time()
        call.moved = call.held.moved() if call.held else []

    def after(given: tuple[Tensor | None, ...], _: Any) -> None:
        call.backward_seconds = time.process_time() - began[0]
        _keep_real(call, given, owners, own=node.name() == OWN_SOLVE)

    node.register_prehook(_harmless(before))
    node.register_hook(_harmless(after))


def _backward_solve(node: Any) -> Any:
    """The node that solves backwards, behind the views that a tuple is made of; None where every step is a node."""
    while node is not None and len(node.next_functions) == 1 and not _is_solve(node):
        node = node.next_functions[0][0]
    return node if node is not None and _is_solve(node) else None


def _behind_the_event(node: Any) -> Any:
    """The nearest node that solves backwards, behind what links the event's time up."""
    todo, seen = [node], 0
    while todo and seen < NEAR:
        node, seen = todo.pop(0), seen + 1
        if node is not None and _is_solve(node):
            return node
        todo += [n for n, _ in node.next_functions] if node is not None else []
    return None


def _is_solve(node: Any) -> bool:
    return node.name() in ("OdeintAdjointMethodBackward", OWN_SOLVE)


def _owners(node: Any, call: Call) -> list[int | None]:
    """For each input of a node the identity of the held tensor that it is; None for what is not held."""
    held = [kept.tensor for kept in call.held.tensors.values()] if call.held else []
    asked = [x for x in (*held, *(call.posed.told or ())) if x.requires_grad]
    inner = [(x.grad_fn, x.output_nr, id(x)) for x in asked if x.grad_fn is not None]
    leaves = {id(x) for x in asked if x.grad_fn is None}
    owners: list[int | None] = []
    for source, number in node.next_functions:
        leaf = id(getattr(source, "variable", None))
        same = [key for made, n, key in inner if made is source and n == number]
        owners.append(leaf if leaf in leaves else same[0] if same else None)
    return owners


def _keep_real(call: Call, given: tuple[Tensor | None, ...], owners: list[int | None], *, own: bool) -> None:
    """What the step's own backward solve gave, added to what it gave before. own: whether odecheck's own solved."""
    first = 1 if own else 0  # its first input is the times
    y0 = given[first : first + len(call.start)] if first else given[:1]
    if all(g is not None for g in y0):
        flat = torch.cat([g.detach().reshape(-1) for g in y0 if g is not None])
        call.real_y0 = flat.clone() if call.real_y0 is None else call.real_y0 + flat
    t = given[0 if first else 1]
    if t is not None and call.times_ask:
        # torchdiffeq solves decreasing times as increasing ones, with the sign turned
        sign = -1.0 if not first and call.window[0] > call.window[-1] else 1.0
        t = t[: len(call.times)]  # torchdiffeq's odeint_event has one, and solves with two
        call.real_t = sign * t.detach() + (0.0 if call.real_t is None else call.real_t)
    if own and call.posed.event:  # the event function's share of the parameters is no part of this
        return
    for key, g in zip(owners, given, strict=False):
        if key is not None and g is not None:
            call.real[key] = g.detach() + call.real.get(key, 0.0)


def _harmless(hook: Any) -> Any:
    """A hook that changes nothing and never raises."""

    def called(*args: Any) -> None:
        try:
            with torch.no_grad():
                hook(*args)
        except Exception:  # the user's backward() goes on
            return None

    return called
