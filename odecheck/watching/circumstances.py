"""Is a field a function of (t, y, parameters) alone? The same question asked again in other circumstances."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from odecheck_reference.path import OutOfBudget
from torch import Tensor, nn

from odecheck.compat import hooks_before

from .call import Call
from .kinds import Finding, finding
from .memory import ROUNDING, caches, distance, remembers, value_at
from .precision import InDouble
from .random_state import drawn_so_far
from .repeat import posed_again


@dataclass
class Circumstances:
    """What was found. deterministic: whether the field gives one value, so that there is an ODE to compare with.

    iterated: names of weights that a power iteration normalises, of which autograd is the derivative in the limit.
    """

    deterministic: bool = True
    iterated: list[str] = field(default_factory=list)
    said: list[Finding] = field(default_factory=list)


def circumstances(call: Call, *, deadline: float = float("inf")) -> Circumstances:
    """Ask the field of a call at the same points: twice, after other calls, with changed parameters, without a graph.

    Each question begins with the field in the state that it had before the solve, and with the same random numbers.
    Raises whatever the field raises, and OutOfBudget between two questions. deadline: process time, in seconds.
    """
    out = Circumstances(iterated=_iterated(call))
    t0, t1 = call.window[0], call.window[-1]
    inside = t0 + 0.3717 * (t1 - t0)
    with posed_again(call) as (f, _, _):
        random = _random(call, f, inside, out.iterated)
    if random:
        out.deterministic = False
        out.said.append(random)
        return out
    asked = (_changes_its_input, remembers, caches, _batch_norm)
    for ask in asked:
        if time.process_time() > deadline:
            raise OutOfBudget("before the field was asked for all its circumstances")
        out.said += [found] if (found := ask(call, inside)) else []
    out.said += [_spectral_norm(out.iterated)] if out.iterated else []
    out.deterministic = not any(x.kind == "remembers its first call" for x in out.said)
    if call.start[0].dtype == torch.float64:
        rounded = _rounds(call, inside)
        out.said += [rounded] if rounded else []
    return out


def _random(call: Call, f: Any, t: Tensor, iterated: list[str]) -> Finding | None:
    value_at(call, f, call.times[0])
    before = drawn_so_far()
    # noise may be drawn at the start alone
    values = [[value_at(call, f, at) for _ in range(3)] for at in (call.times[0], t)]
    far = max(distance(v, of[0]) for of in values for v in of[1:])
    if far <= ROUNDING.get(values[0][0].dtype, 1e-2):
        return None
    if before == drawn_so_far() and iterated:
        return _spectral_norm(iterated, far)
    if before == drawn_so_far():
        return finding(
            "depends on the number of calls",
            f"the same call of the field gives values that differ by {far:.1e}, without random numbers: it counts or "
            "remembers its calls, and a solver calls it as often as it likes; keep no state between calls",
        )
    on = [name or type(m).__name__ for name, m in _modules(call, f).items() if _drops(m)]
    if on or any("dropout" in name for name, _ in _functions(call, f, t)):
        names = f" ({', '.join(on)} in training mode)" if on else ""
        return finding(
            "dropout active",
            f"dropout is active in the field{names}: each evaluation has a mask of its own and values differ by "
            f"{far:.1e}, so there is no ODE to solve; draw one mask for each solve, or field.eval()",
        )
    return finding(
        "noise in every evaluation",
        f"the field draws random numbers in every evaluation: values at the same point differ by {far:.1e}, so there "
        "is no ODE to solve; draw the noise once for each solve, before it begins",
        wrong=call.posed.adaptive,
    )


def _modules(call: Call, f: Any) -> dict[str, nn.Module]:
    """The modules of a field, by name: those of a module, and those that a function reaches."""
    roots = [f] if isinstance(f, nn.Module) else call.held.modules() if call.held else []
    return {name: m for root in roots for name, m in root.named_modules()}


def _drops(m: nn.Module) -> bool:
    """Whether a module draws a mask in every call: dropout, or a layer with a rate of it inside (GRU, attention)."""
    rate = getattr(m, "dropout", 0.0)
    return m.training and ("Dropout" in type(m).__name__ or (isinstance(rate, float) and rate > 0))


def _functions(call: Call, f: Any, t: Tensor) -> list[tuple[str, bool]]:
    """The functions of torch that the field calls, by name, and of each whether it was told `training`."""
    seen: list[tuple[str, bool]] = []

    class Listen(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name, given = getattr(func, "__name__", ""), kwargs or {}
            training = given.get("training", args[5] if name == "batch_norm" and len(args) > 5 else False)
            seen.append((name, training is True))
            return func(*args, **given)

    with Listen():
        value_at(call, f, t)
    return seen


def _batch_norm(call: Call, t: Tensor) -> Finding | None:
    """Whether statistics of the batch are taken in every evaluation."""
    with posed_again(call) as (f, _, _):
        try:
            called = _functions(call, f, t)
        except Exception:  # a field that nobody may listen to
            return None
    if ("batch_norm", True) not in called:
        return None
    return finding(
        "batch norm in training mode",
        "batch normalisation is in training mode inside the field: each row's solution depends on the other rows, and "
        "the running statistics are a mean over the solver's evaluations, so in eval() another ODE is solved; "
        "GroupNorm or LayerNorm have none of this, or put it outside the field",
    )


def _spectral_norm(names: list[str], far: float = 0.0) -> Finding:
    moves = f", and values of the same call differ by {far:.1e}: there is no ODE to solve" if far else ""
    return finding(
        "spectral norm in training mode",
        f"spectral normalisation is in training mode inside the field ({', '.join(names[:3])}): every evaluation "
        "goes on with its power iteration, and autograd takes the vectors of that for constants, so gradients in these "
        f"weights are those of the values only where it has converged{moves}; field.eval() around the solve",
        wrong=bool(far),
    )


def _iterated(call: Call) -> list[str]:
    """The names of the weights that are divided by a norm which every evaluation goes on to find."""
    found: list[Tensor] = []
    for m in call.held.modules() if call.held else []:
        parts = getattr(m, "parametrizations", None)
        for part in parts.values() if isinstance(parts, nn.ModuleDict) else []:
            if any("SpectralNorm" in type(x).__name__ and x.training for x in part.children()):
                found += part.parameters(recurse=False)
        hooks = [h for h in hooks_before(m) if "SpectralNorm" in type(h).__name__]
        found += [getattr(m, f"{h.name}_orig") for h in hooks if m.training]
    return [kept.name for x in found if call.held and (kept := call.held.tensors.get(id(x)))]


def _changes_its_input(call: Call, t: Tensor) -> Finding | None:
    with posed_again(call) as (f, _, _), torch.no_grad():
        y = [x.clone() for x in call.start]
        try:
            f(t.clone(), call.posed.packed(y))
        except Exception:  # a field that differentiates inside wants a graph
            return None
    if all(torch.equal(a, b) or bool(a.isnan().any()) for a, b in zip(y, call.start, strict=True)):
        return None
    return finding(
        "changes its input",
        "the field writes into the state that it is called with (y += ..., y[...] = ..., an in-place activation): the "
        "solver goes on from a state that is not its own; write into a new tensor",
    )


def _rounds(call: Call, t: Tensor) -> Finding | None:
    """Whether a float64 field makes float32 of its time or of its state."""
    short = t.float().double()  # outside of promotion, which would undo it
    with posed_again(call) as (f, _, _):
        value_at(call, f, call.times[0])
        own, rounded = value_at(call, f, t), value_at(call, f, short)
    with posed_again(call) as (f, _, _), InDouble(call.start[0].dtype):
        value_at(call, f, call.times[0])
        whole, moved = value_at(call, f, t), value_at(call, f, short)
    far = distance(own, whole)
    if (torch.equal(own, rounded) and not torch.equal(whole, moved)) or _moves_in_float32_steps(call):
        return finding(
            "float32 clock",
            "the field rounds t to float32 although the state is float64: torch.ones(...) * t and "
            "torch.full(..., float(t)) are float32; write torch.ones(..., dtype=y.dtype) * t, or t.expand(...)",
        )
    if far <= 1e-11:
        return None
    return finding(
        "float32 inside",
        f"the field makes float32 of a float64 state (values are off by {far:.1e}): a constant without dtype or a "
        ".float(); write dtype=y.dtype",
    )


def _moves_in_float32_steps(call: Call) -> bool:
    """Whether values stand still while t moves within the rounding of float32, and move beyond it, at three times."""
    start, length = float(call.window[0]), float(call.window[-1] - call.window[0])
    with posed_again(call) as (f, _, _):
        value_at(call, f, call.times[0])
        for share in (0.2113, 0.5377, 0.8291):
            # the middle of what is rounded to one number of float32
            middle = float(np.float32(start + share * length))
            grain = float(np.spacing(np.float32(abs(middle))))
            at = [
                torch.tensor(middle + k * grain, dtype=call.times.dtype, device=call.times.device)
                for k in (-0.25, 0.25, 8.0)
            ]
            here, within, beyond = (value_at(call, f, t) for t in at)
            if not torch.equal(here, within) or distance(beyond, here) <= 1e-11:
                return False
    return True
