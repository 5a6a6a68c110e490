"""How large the state of a problem is: what the tolerances of a solver are to be compared with."""

from __future__ import annotations

import numpy as np
from odecheck_reference import Problem

from .unit_of_work import kept_in_unit


@kept_in_unit
def size_of_state(problem: Problem) -> float:
    """The largest component of the start, or what the field makes of it over the interval where that is more.

    Args:
        problem: Whose start, field and times are looked at.

    Returns:
        A size in the units of the state; nothing is solved for it.
    """
    span, middle = problem.ts[-1] - problem.ts[0], (problem.ts[0] + problem.ts[-1]) / 2
    rates = [problem.field.jet(float(t), problem.y0, problem.theta, 0).value for t in (problem.ts[0], middle)]
    sizes = [np.max(np.abs(problem.y0)), *(abs(span) * np.max(np.abs(rate)) for rate in rates)]
    return float(np.nanmax(sizes))
