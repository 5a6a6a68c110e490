"""Gradients that are lost or zero, and why some are further off than their tolerance promises: said, not guessed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from odecheck.judge import Verdict

from .call import Call
from .field64 import Along, Array, Field64
from .repeat import Repeat
from .row import Row

# a gradient below this part of the largest one is nothing that can be missed
NOTHING = 1e-6


def of_a_broken_gradient(call: Call, row: Row, *, kinks: bool) -> None:
    """A gradient that is refuted beside a solution that holds, and what of the call explains it.

    Args:
        call: The solve.
        row: Judged, with what has been found of it.
        kinks: Whether the field has operations with kinks.
    """
    broken = [name for name, q in row.quantities.items() if q.verdict is Verdict.REFUTED]
    if row.findings or not broken or any(not name.startswith("dL/") for name in broken):
        return
    off = ", ".join(f"{name} by {row.quantities[name].error:.1e}" for name in broken)
    if call.posed.adjoint:
        loose = [f"adjoint_{name}={_largest(call, name):g}" for name in ("rtol", "atol") if _is_loose(call, name)]
        if loose:
            row.say(
                "loose adjoint",
                f"the solution keeps its tolerance and the gradients do not ({off}): {' and '.join(loose)} in the "
                f"backward solve, where the solve itself has rtol={row.rtol:g} and atol={row.atol:g}; leave them out",
            )
    elif kinks and row.adaptive:
        row.say(
            "steps over kinks",
            f"the solution keeps its tolerance and the gradients do not ({off}): the field has kinks (ReLU, abs, max, "
            "...), steps are chosen for the solution alone, and their derivative does not see where in a step a kink "
            "is crossed; odeint_adjoint, a smaller rtol, or a smooth activation",
        )


def _is_loose(call: Call, name: str) -> bool:
    return _largest(call, name) > getattr(call.posed, name)


def _largest(call: Call, name: str) -> float:
    """The tolerance of the backward solve, of several the largest; that of the solve where none was given."""
    own = call.posed.others.get(f"adjoint_{name}")
    return getattr(call.posed, name) if own is None else float(torch.as_tensor(own, dtype=torch.float64).max())


def of_the_parameters(call: Call, row: Row, repeat: Repeat, exact: dict[str, Array], f: Field64, along: Along) -> None:
    """Gradients that are lost, and parameters that the solve does not reach."""
    assert call.held is not None
    top = max([float(abs(x).max()) for x in exact.values() if x.size] or [0.0])
    told = {id(x) for x in call.posed.told or ()}
    own = {id(p) for p in call.posed.field.parameters()} if isinstance(call.posed.field, nn.Module) else set()
    reached, still = _reached(f, along), list[str]()
    for key, kept in call.held.tensors.items():
        if kept.name not in exact:
            continue
        size = float(abs(exact[kept.name]).max()) if exact[kept.name].size else 0.0
        got = repeat.theta.get(kept.name)
        lost = got is None or not bool(got.any())
        if call.posed.told is not None and key not in told and size > NOTHING * top and lost:
            row.say(
                "captured, gradient lost",
                f"the gradient of {kept.name} is lost (it is {size:.1e}): {_who(kept.tensor)}, and "
                f"{call.posed.function} differentiates in y0 and adjoint_params alone; give it in adjoint_params=, put "
                "it into the state, or use odeint",
            )
        elif kept.name not in reached and kept.name in call.unreached and (key in own or key in told):
            if _has_reached_siblings(kept.name, reached):  # an additive constant of an energy, and the like
                row.say("constant", f"the solve does not depend on the parameter {kept.name}")
                continue
            row.say(
                "parameter not reached",
                f"the solve does not depend on the parameter {kept.name}: it gets no gradient; "
                "it is overwritten, detached or never used in forward",
            )
        elif kept.name in call.unreached and size == 0.0 < top:
            still.append(kept.name)
    if still:
        row.say(
            "constant",
            f"the gradient of {named(still)} is exactly zero at the present values: behind a clamp, a ReLU that is "
            "dead, or a layer that begins at zero; where that stays so, nothing trains there",
        )


def _has_reached_siblings(name: str, reached: set[str]) -> bool:
    """Whether the solve depends on another parameter of the same part of the field."""
    part = name.rpartition(".")[0]
    return bool(part) and any(other.rpartition(".")[0] == part for other in reached)


def _who(x: Tensor) -> str:
    if x.grad_fn is None:
        return "the field uses it, and it is no registered parameter of the field"
    return f"it was computed outside the field ({x.grad_fn.name().removesuffix('Backward0')}) and is captured by it"


def _reached(f: Field64, along: Along) -> set[str]:
    """The leaves that the field's graph leads to at one of three times."""
    names = list(f.leaves)
    found: set[str] = set()
    for share in (0.0, 0.4, 0.9):
        t = float(f.times[0] + share * (f.times[-1] - f.times[0]))
        y = along(t)
        found |= {n for n, g in zip(names, f.vjp(t, y, y * 0 + 1.0, leaves=True)[2], strict=True) if g is not None}
    return found


def named(names: list[str]) -> str:
    """Some names, the first four of them."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
