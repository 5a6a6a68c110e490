"""An adaptive solver on steps of a given length: its formula without its choice of steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from odecheck.errors import NotApplicable
from odecheck.solvers import Adaptive, Solver, Stepped

# so large that no error estimate shortens a step
ANY_ERROR = 1e3


def forced(solver: Solver, step: float) -> Solver:
    """A solver with steps of a given length.

    Args:
        solver: A fixed-step one, or an adaptive one that has a method `forced(step)` or is one of torchdiffeq's kind,
            which takes the options first_step and max_step.
        step: In units of time, positive.

    Returns:
        The same formula on these steps.

    Raises:
        NotApplicable: A solver whose steps cannot be chosen.
    """
    if isinstance(solver, Stepped):
        return solver.with_step(step)
    if hasattr(solver, "forced"):
        return cast(Any, solver).forced(step)
    if isinstance(solver, Adaptive) and solver.method != "scipy_solver":
        options = {**solver.options, "first_step": step, "max_step": step}
        return replace(solver, rtol=ANY_ERROR, atol=ANY_ERROR, land=False, options=options)
    if solver.stepping == "fixed":
        raise NotApplicable("the solver's step cannot be chosen: it has no `step` and `with_step`")
    raise NotApplicable("the solver's steps cannot be forced: it has no `forced(step)`")
