"""Validation: what cannot be verified is refused before any claim, with what was seen, why, and what to type."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args

import numpy as np
import torch
from odecheck_reference import Problem
from torch import Tensor, nn

from odecheck.claims.shared.kit import check_kit
from odecheck.errors import BadInput, NoDerivativeInTime, Unsupported
from odecheck.field_values import constants, in_time_alone
from odecheck.fields.callback import own_name
from odecheck.foreign import said, words
from odecheck.instruments.step_counts import Counter, Phase, watch_calls
from odecheck.solvers import Stepping
from odecheck.subject import Subject, tensor

from .at_sight import said_by_values
from .raised import cause_and_fix

# layers whose statistics move with every call while they train
_Statistics = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
)
# rows that see each other by less than this are round-off of differently blocked matrix products
ROWS = 1e-9


def validate(subject: Subject, problem: Problem) -> None:
    """Let a subject and its problem in, or refuse them.

    Args:
        subject: Whose solver and field are looked at.
        problem: On which it will be asked.

    Raises:
        BadInput: A solver that does not say what it is, shapes that do not match, another dtype or device, NaN or
            infinity on the way, a field that is random or keeps state, parameters out of reach of the gradient, a spent
            step budget; of a problem without a formula of its own also rows that see each other,
            derivatives that are not those of the values, answers that depend on earlier calls, and values that are not
            of float64.
        NoDerivativeInTime: The derivative in time alone is not that of the values.
    """
    _is_a_solver(subject)
    check_kit(subject)
    module = _made(subject, problem)
    y, t = tensor(problem.y0), tensor(problem.ts)
    value = _called(module, t[0], y)
    _looks_like_the_state(value, y)
    _repeats(module, t, y, value)
    _reaches_all_parameters(module, t, y, formula=problem.independent)
    if not problem.independent:
        _rows_are_separate(module, t[0], y, value)
    _arrives(subject, problem)
    _its_values_agree(subject, problem)


def _is_a_solver(subject: Subject) -> None:
    missing = [name for name in ("name", "order", "stepping", "solve", "refined") if not hasattr(subject.solver, name)]
    stepping = getattr(subject.solver, "stepping", "fixed")
    kind = type(subject.solver).__name__
    if missing or stepping not in get_args(Stepping):
        raise BadInput(
            f"the solver {kind} has no `{missing[0]}`"
            if missing
            else f"the solver {kind} says stepping = {stepping!r}, which claims do not know",
            "a solver of your own that was written for an earlier version, or before docs/howto/solver.md was read",
            'stepping = "fixed", or stepping = "adaptive", beside name, order, solve and refined',
        )


def _made(subject: Subject, problem: Problem) -> nn.Module:
    try:
        module = subject.module(problem)
    except Exception as error:
        raise BadInput(
            f"the field of {subject.name!r} cannot be made at the {problem.field.params} parameters of problem "
            f"{problem.name!r}: {_said(error)}",
            "the field takes another number of parameters than the problem has, or is not a function of theta",
            "Subject(field, ...) with field(theta) -> nn.Module, where theta is (params,) float64, or pass "
            "the module itself: odecheck verify FILE.py:NAME",
        ) from error
    count = sum(p.numel() for p in module.parameters() if p.requires_grad)
    if count != problem.field.params:
        raise BadInput(
            f"the module of {subject.name!r} has {count} trainable parameters, problem {problem.name!r} has "
            f"theta of shape ({problem.field.params},)",
            "a frozen or an added parameter, or theta flattened from another module",
            "theta=torch.nn.utils.parameters_to_vector(module.parameters()).detach().numpy()",
        )
    return module


def _said(error: BaseException) -> str:
    return said(error).splitlines()[0]


def _called(module: nn.Module, t: Tensor, y: Tensor) -> Tensor:
    try:
        value = module(t, y)
    except Exception as error:
        seen = (
            f"module(t, y) with t = {float(t):.6g} of shape () and y of shape {tuple(y.shape)}, both float64, raised "
            f"{_said(error)}"
        )
        raise BadInput(seen, *cause_and_fix(error)) from error
    if not isinstance(value, Tensor):
        raise BadInput(
            f"module(t, y) returned {type(value).__name__} and not a tensor",
            "a tuple of states, or None",
            "return torch.cat(parts, dim=-1), with the parts side by side in one state",
        )
    return value


def _looks_like_the_state(value: Tensor, y: Tensor) -> None:
    if value.shape != y.shape:
        raise BadInput(
            f"the field returned shape {tuple(value.shape)} for a state of shape {tuple(y.shape)}",
            "a last layer of another width, or a batch axis that was dropped or added",
            "a field whose output has the shape of its state: nn.Linear(width, state); "
            "for a single row give y0[None, :]",
        )
    if value.dtype != y.dtype:
        raise BadInput(
            f"the field returned {value.dtype} for a state of {y.dtype}",
            "a cast inside forward, or a constant of another dtype",
            "value.to(y.dtype) at the end of forward, and no .float() inside it",
        )
    if value.device != y.device:
        raise BadInput(
            f"the field returned a tensor on {value.device} for a state on {y.device}",
            "a tensor made inside forward, or a module that was moved",
            "module.cpu(), and torch.zeros(..., device=y.device) inside forward",
        )
    if not torch.isfinite(value).all():
        raise _not_finite(f"at the start, where the field is {[float(x) for x in value.detach().flatten()[:4]]}")


def _repeats(module: nn.Module, t: Tensor, y: Tensor, before: Tensor) -> None:
    kept = [b.clone() for b in module.buffers()]
    with torch.no_grad():
        _elsewhere(module, t[-1], y + 0.5, 0.97 * y)
    # more than once: of a small state dropout can take the same part twice
    again = torch.stack([_called(module, t[0], y) for _ in range(4)]).detach()
    if not torch.equal(before.expand_as(again), again):
        gap = float((before - again).detach().abs().max())
        raise BadInput(
            f"the same call of the field gave two values, up to {gap:.2g} apart",
            "dropout, noise or a power iteration inside the field, or a field that counts or remembers its calls",
            "module.eval() for dropout or spectral norm; draw noise once in __init__; keep no state between calls",
        )
    moved = any(not torch.equal(a, b) for a, b in zip(kept, module.buffers(), strict=True))
    if moved and any(isinstance(m, _Statistics) and m.training for m in module.modules()):  # a counter may count
        raise BadInput(
            "a call of the field changed one of its buffers",
            "batch normalisation in training mode: its statistics move with every evaluation of the solver",
            "module.eval(), or nn.LayerNorm or nn.GroupNorm in its place",
        )


def _reaches_all_parameters(module: nn.Module, t: Tensor, y: Tensor, *, formula: bool) -> None:
    """Whether each parameter is in the graph. formula: the problem has one, in which no parameter falls out."""
    named = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not named:
        return
    value = _called(module, t[0], y.clone().requires_grad_())
    if not value.requires_grad:
        missed = list(named)
    else:
        # torch's types do not know that allow_unused gives None
        got = cast(Sequence[Tensor | None], torch.autograd.grad(value.sum(), list(named.values()), allow_unused=True))
        missed = [name for name, g in zip(named, got, strict=True) if g is None]
    if missed and value.requires_grad and not formula:
        missed = [name for name in missed if name not in constants(module, t[0], y)]
    if missed:
        missed = [own_name(module, name) for name in missed]
        raise BadInput(
            f"the gradient of the field does not reach the parameters {', '.join(missed)}",
            "detach(), .data, .item() or no_grad() inside forward, or a parameter that forward does not use",
            f"take that call out of forward, or {missed[0]}.requires_grad_(False) if it is unused",
        )


def _elsewhere(module: nn.Module, t: Tensor, *states: Tensor) -> Tensor | None:
    """The value at the first of these states that the field takes, which may check what it is called with, or None."""
    for y in states:
        try:
            return module(t, y)
        except Exception:
            continue
    return None


def _rows_are_separate(module: nn.Module, t: Tensor, y: Tensor, value: Tensor) -> None:
    """The reference follows each row by itself, and has nothing to say of rows that see each other."""
    with torch.no_grad():
        y = y.detach()  # a field may have asked for its gradient in y itself
        others = [torch.cat([y, rows]) for rows in (y.flip(0) + 0.25, 0.97 * y.flip(0))]
        together = _elsewhere(module, t, *others)
        together = _called(module, t, torch.cat([y, y.flip(0)])) if together is None else together
        alone = torch.cat([together[: len(y)], *(_called(module, t, row[None].clone()) for row in y)])
    value = value.detach()
    gap = float((alone - torch.cat([value, value])).abs().max())
    if not gap <= ROWS * float(value.abs().max()):
        raise BadInput(
            f"a row of the field changes by {gap:.2g} with the rows beside it",
            "batch normalisation in training mode, or a sum or an attention over the batch axis",
            "module.eval(), or nn.LayerNorm; if rows shall see each other, make them one state: "
            "y0 of shape (1, rows * features)",
        )


def _its_values_agree(subject: Subject, problem: Problem) -> None:
    """What the reference takes for derivatives, a module's own or a formula's, has to be those of the values."""
    try:
        knots = subject.solution(problem)
    except Unsupported:
        knots = np.broadcast_to(problem.y0, (len(problem.ts), *problem.y0.shape))
    reason = said_by_values(problem, knots)
    if reason is not None:
        raise (NoDerivativeInTime if in_time_alone(reason) else BadInput)(*reason)


@dataclass(eq=False)
class Watch:
    """Wraps a module and notes the time and number of its calls, and where its value stopped being finite.

    Attributes:
        calls: The number of calls.
        last: The time of the last one.
        began: The time of the first one whose state or value is not finite, or None.
    """

    calls: Phase = field(default_factory=Phase)
    last: float = float("nan")
    began: float | None = None

    def __call__(self, module: nn.Module) -> nn.Module:
        """Begin to watch a module, which is given back."""
        module.register_forward_hook(self._see)
        counter = Counter()
        watch_calls(module, counter)
        self.calls = counter.forward
        return module

    def _see(self, _module: nn.Module, args: Any, value: Tensor) -> None:
        self.last = float(args[0])
        if self.began is None and not (torch.isfinite(value).all() and torch.isfinite(args[1]).all()):
            self.began = self.last


def _not_finite(when: str) -> BadInput:
    return BadInput(
        f"NaN or infinity {when}",
        "a solution that grows without bound, a logarithm, root or quotient that leaves its domain, or a step "
        "too long for the method",
        "shorter times (--times '[0, 0.5]' or ts=...), a smaller rtol or step, or torch.clamp in the field",
    )


def _arrives(subject: Subject, problem: Problem) -> None:
    """The subject's own solve reaches the last time with finite numbers. It is kept for the claims."""
    try:
        seen = subject.solution(problem)
    except Unsupported:
        return  # the claims say so, each in its row
    except Exception as error:
        watch = _followed(subject, problem)
        if watch.began is not None:
            raise _not_finite(
                f"in the field from t = {watch.began:.6g} on (the times go from {problem.ts[0]:g} to "
                f"{problem.ts[-1]:g})"
            ) from error
        if "max_num_steps" in words(error) or "underflow in dt" in words(error):
            raise _budget(subject, problem, watch, error) from error
        raise BadInput(
            f"{subject.name} cannot solve problem {problem.name!r}: {_said(error)}",
            "a solver option or a field that the solver does not take",
            "Subject(field, Adaptive('dopri5', rtol=1e-7), Adjoint()) to see whether it is the solver",
        ) from error
    if not np.isfinite(seen).all():
        first = int(np.argmax(~np.isfinite(seen).all(axis=(1, 2))))
        began = _followed(subject, problem).began
        raise _not_finite(
            f"in the solution of {subject.name} from t = {problem.ts[first] if began is None else began:.6g} "
            f"on (the times go from {problem.ts[0]:g} to {problem.ts[-1]:g})"
        )


def _budget(subject: Subject, problem: Problem, watch: Watch, error: Exception) -> BadInput:
    return BadInput(
        f"{subject.name} stopped at t = {watch.last:.6g} of {problem.ts[-1]:g}, after {watch.calls.nfe} evaluations "
        f"of the field: {_said(error)}",
        "a stiff field, a discontinuity, a solution that grows without bound, or a tolerance below round-off",
        "Adaptive(..., rtol=1e-6), shorter times, Adaptive(..., max_steps=1_000_000), or jump_t in its "
        "options at a discontinuity",
    )


def _followed(subject: Subject, problem: Problem) -> Watch:
    """What happened on the way, by solving once more: only on the way out."""
    watch = Watch()
    with suppress(Exception):
        replace(subject, around=(*subject.around, watch)).solution(problem)
    return watch
