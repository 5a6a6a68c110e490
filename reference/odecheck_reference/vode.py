"""VODE's Adams formulas without a Jacobian, for systems whose n² numbers do not fit: in the way of scipy's solvers.

LSODA allocates n² numbers whatever it does with them; VODE in this form has some dozens of n.
Source: Brown, Byrne & Hindmarsh 1989.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.integrate  # pyright: ignore[reportMissingTypeStubs]

from .bounded import Array

_ode: Any = scipy.integrate.ode


class Vode:
    """One integration from t0 to t_bound in a single `step`, with as many steps inside as it takes.

    Args:
        fun: (t, y) → y'.
        t0: where it begins.
        y0: y there, (n,).
        t_bound: where it ends.
        rtol: relative tolerance.
        atol: absolute one, (n,).
        max_step: the longest step.
        first_step: not asked for.
    """

    def __init__(
        self,
        fun: Callable[[float, Array], Array],
        t0: float,
        y0: Array,
        t_bound: float,
        *,
        rtol: float,
        atol: Array,
        max_step: float = np.inf,
        first_step: float | None = None,
    ) -> None:
        self.t, self.t_old, self.y, self.t_bound, self.status = t0, t0, y0, t_bound, "running"
        longest = 0.0 if np.isinf(max_step) else max_step
        options = {"rtol": rtol, "atol": atol, "max_step": longest, "nsteps": 500_000, "with_jacobian": False}
        self._solver = _ode(fun).set_integrator("vode", method="adams", order=12, **options)
        self._solver.set_initial_value(y0, t0)

    def step(self) -> str | None:
        """Go to the end. Returns why it failed, or None."""
        self.y = np.array(self._solver.integrate(self.t_bound))
        self.t, self.status = self.t_bound, "finished" if self._solver.successful() else "failed"
        return None if self._solver.successful() else "VODE made no progress"
