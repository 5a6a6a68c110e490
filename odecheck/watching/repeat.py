"""A solve posed again, with the field, the start and the random numbers that it had: bit for bit what the step did."""

from __future__ import annotations

import time
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from numpy.typing import NDArray
from odecheck_reference.path import OutOfBudget
from torch import Tensor, nn

from odecheck.foreign import said, words

from .call import Call
from .random_state import untouched

NOTHING_ELSE: Mapping[str, Any] = MappingProxyType({})


@dataclass
class Repeat:
    """What a solve gives when it is posed again.

    solution: float64, by part of the state. y0, t: gradients of ⟨cotangent, y(ts)⟩, float64; theta: by name of the
    tensor, None where it is not reached. forward, backward: evaluations of the field. steps: accepted and rejected
    in the forward solve; None where the solver does not tell. saved_bytes: kept for the backward pass; None where
    nobody may count. lengths: of the steps that were tried in the forward solve, where the solver tells; accepted: of
    those that were not rejected. raised: by the backward solve. ignored: what the solver said of options it has not.
    """

    solution: list[Tensor]
    y0: Tensor | None = None
    t: Tensor | None = None
    theta: dict[str, Tensor | None] = field(default_factory=dict)
    forward: int = 0
    backward: int = 0
    steps: int | None = None
    rejected: int | None = None
    saved_bytes: int | None = 0
    backward_seconds: float = float("nan")
    raised: str = ""
    ignored: str = ""
    lengths: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)

    @property
    def has_gradients(self) -> bool:
        """Whether a cotangent came and found something to differentiate in."""
        return self.y0 is not None


def real(x: Tensor) -> Tensor:
    """A tensor in float64; of a complex one its real and imaginary parts, (..., 2)."""
    return torch.view_as_real(x.resolve_conj()).double() if x.is_complex() else x.double()


class _Around(nn.Module):
    """A module around another one, with the same parameters."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args: Any) -> Any:
        return self.inner(*args)


def array(x: Tensor) -> NDArray[Any]:
    """A tensor's numbers, from whatever device it is on."""
    return x.detach().cpu().numpy()


class _Counter:
    """Counts the calls of a field, and the steps that a solver tells the field of."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.calls, self.steps, self.rejected, self.told = 0, 0, 0, False
        self.lengths: list[float] = []
        self.accepted: list[float] = []

    def on(self, f: Any) -> Any:
        """The field, counted: the same module with a hook, or a function around a function."""
        if isinstance(f, torch.jit.ScriptModule):  # it takes no hook
            f = _Around(f)
        if isinstance(f, nn.Module):
            f.register_forward_pre_hook(self._called)
            self._listen(f)
            return f

        def counted(*args: Any, **kwargs: Any) -> Any:
            self._called()
            return f(*args, **kwargs)

        for name in ("callback_step", "callback_accept_step", "callback_reject_step"):
            for full in (name, name + "_adjoint"):
                if hasattr(f, full):
                    setattr(counted, full, getattr(f, full))
        counted.called = self._called  # pyright: ignore[reportFunctionMemberAccess]
        self._listen(counted)
        return counted

    def _called(self, *_: Any) -> None:
        self.calls += 1
        if time.process_time() > self.deadline:
            raise OutOfBudget(f"after {self.calls:,} evaluations of the field in the solve posed again")

    def _listen(self, f: Any) -> None:
        step, reject = getattr(f, "callback_step", None), getattr(f, "callback_reject_step", None)

        def on_step(*args: Any) -> None:
            self.told, self.steps = True, self.steps + 1
            self.lengths += [abs(float(args[2]))] if len(args) > 2 else []
            self.accepted += self.lengths[-1:] if len(args) > 2 else []
            if step is not None:
                step(*args)

        def on_reject(*args: Any) -> None:
            self.rejected += 1
            del self.accepted[-1:]
            if reject is not None:
                reject(*args)

        f.callback_step, f.callback_reject_step = on_step, on_reject


@contextmanager
def posed_again(
    call: Call, dtype: torch.dtype | None = None
) -> Generator[tuple[Any, dict[str, Any], dict[str, Tensor]]]:
    """Yields the field, the other arguments and the leaves of a call, all in their old state or in `dtype`."""
    assert call.held is not None
    with untouched(call.random), call.held.lent(dtype) as ((f, others), leaves), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield f, dict(others), leaves


def again(
    call: Call,
    dtype: torch.dtype | None = None,
    *,
    gradients: bool = True,
    deadline: float = float("inf"),
    how: Mapping[str, Any] = NOTHING_ELSE,
) -> Repeat:
    """Pose a solve again, and pull its cotangent back. Raises whatever the solver raises, and OutOfBudget.

    deadline: process time, in seconds. how: arguments of the call in the place of its own.
    """
    try:
        return _again(call, dtype, gradients=gradients, deadline=deadline, noting=True, how=how)
    except RuntimeError as error:
        if "saved tensor hooks" not in words(error):
            raise
    return _again(call, dtype, gradients=gradients, deadline=deadline, noting=False, how=how)


def _again(
    call: Call, dtype: torch.dtype | None, *, gradients: bool, deadline: float, noting: bool, how: Mapping[str, Any]
) -> Repeat:
    """As `again`. noting: what is kept for the backward pass, which torch.func does not bear in a field."""
    posed, counter = call.posed, _Counter(deadline)
    own = dtype is None
    with posed_again(call, dtype) as (f, others, leaves), torch.set_grad_enabled(call.grad_mode):
        ask = gradients and call.cotangent is not None
        y0 = [_leaf(y, dtype, ask) for y in call.start]
        t = _leaf(call.times, dtype, call.times_ask and ask)
        if posed.function == "odeint_event":
            t = t[0]
        saved: dict[int, int] = {}
        hooks = torch.autograd.graph.saved_tensors_hooks(lambda x: _noted(x, saved), lambda x: x)
        with hooks if noting else nullcontext(), _autocast(call, own), _listened() as told:
            got = posed.again(counter.on(f), posed.packed([y.view_as(y) for y in y0]), t, {**others, **how})
        out = Repeat([y.detach().double() for y in got], forward=counter.calls)
        out.ignored = next((text for w in told if "Unexpected arguments" in (text := str(w.message))), "")
        out.saved_bytes = sum(saved.values()) if noting else None
        if counter.told:
            out.steps, out.rejected = counter.steps - counter.rejected, counter.rejected
            out.lengths, out.accepted = counter.lengths, counter.accepted[: out.steps]
        if ask and any(y.requires_grad for y in got):
            with _autocast(call, own and call.autocast_backward):
                try:
                    _pull_back(call, out, got, y0, t, leaves)
                except AssertionError as error:  # torchdiffeq's, where a backward solve cannot go on
                    out.raised = said(error)
            out.backward = counter.calls - out.forward
    return out


@contextmanager
def _listened() -> Generator[list[warnings.WarningMessage]]:
    """The warnings of a block, all of them."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield told


def _autocast(call: Call, wanted: bool) -> torch.autocast:
    """What stood around the solve in the step. Its cache would keep weights that are lent."""
    return torch.autocast(call.device.type, call.autocast, wanted and call.autocast is not None, cache_enabled=False)


def _leaf(x: Tensor, dtype: torch.dtype | None, ask: bool) -> Tensor:
    return x.to(dtype or x.dtype, copy=True).requires_grad_(ask)


def _noted(x: Tensor, saved: dict[int, int]) -> Tensor:
    storage = x.untyped_storage()
    saved[storage.data_ptr()] = storage.nbytes()
    return x


def _pull_back(
    call: Call, out: Repeat, got: list[Tensor], y0: list[Tensor], t: Tensor, leaves: dict[str, Tensor]
) -> None:
    assert call.cotangent is not None
    pairs = [(y, c.to(y.dtype)) for y, c in zip(got, call.cotangent, strict=True) if y.requires_grad]
    wanted = [*y0, *leaves.values(), *([t] if t.requires_grad else [])]
    start = time.process_time()
    grads = torch.autograd.grad([y for y, _ in pairs], wanted, [c for _, c in pairs], allow_unused=True)
    out.backward_seconds = time.process_time() - start
    wide = [None if g is None else real(g.detach()) for g in grads]
    out.y0 = torch.cat(
        [
            (torch.zeros_like(y, dtype=torch.float64) if g is None else g).reshape(-1)
            for g, y in zip(wide, y0, strict=False)
        ]
    )
    out.theta = dict(zip(leaves, wide[len(y0) :], strict=False))
    if t.requires_grad:
        out.t = (torch.zeros_like(t, dtype=torch.float64) if wide[-1] is None else wide[-1]).reshape(-1)
