"""Why gradients are further off than their tolerance promises although the solution is not: said, not guessed."""

from __future__ import annotations

import torch

from odecheck.judge import Verdict

from .call import Call
from .row import Row


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
