"""What claims about tolerances share: which are asked about, of which solvers, and a solver that is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from odecheck.claim import Mutant
from odecheck.errors import NotApplicable
from odecheck.solvers import OdeInt, Stepping, Toleranced
from odecheck.subject import Subject

# loosest and tightest tolerance by stated order: a method of low order pays for each digit with many steps
TOLERANCES = {
    **{2: (1e-3, 3e-6), 3: (1e-3, 1e-7), 4: (1e-4, 3e-9), 5: (1e-5, 1e-10)},
    **{6: (1e-5, 3e-11), 7: (1e-6, 1e-11), 8: (1e-6, 1e-11)},
}


def adaptive_of(subject: Subject) -> Toleranced:
    """The subject's solver. Raises NotApplicable for one without a tolerance that can be chosen, and is of its own."""
    solver = subject.solver
    if solver.stepping != "adaptive":
        raise NotApplicable("a fixed-step solver has no tolerance; see SOL-3")
    if not isinstance(solver, Toleranced):
        raise NotApplicable("the solver's tolerance cannot be chosen: it has no `rtol`, `atol` and `with_tolerance`")
    if getattr(solver, "method", "") == "scipy_solver":
        raise NotApplicable("which of scipy's methods it is, an option says; see its own engine")
    if solver.order not in TOLERANCES:
        known = ", ".join(map(str, TOLERANCES))
        raise NotApplicable(f"tolerances to ask about are known for orders {known}, and not for {solver.order}")
    return solver


def ratio_of(solver: Toleranced) -> float:
    """The absolute tolerance in units of the relative one."""
    return 0.01 if solver.atol is None else solver.atol / solver.rtol


def lands(subject: Subject) -> bool:
    """Whether steps end on the outputs, by an option of the solver or always with this engine."""
    return getattr(subject.solver, "land", False) or getattr(subject.engine, "lands", False)


class RootTolerance:
    """An adaptive solver that takes the square root of every tolerance asked for."""

    def __init__(self, inner: Toleranced) -> None:
        self.inner = inner
        self.name, self.order = f"{inner.name} [root]", inner.order
        self.rtol, self.atol = inner.rtol, inner.atol
        self.method, self.land = getattr(inner, "method", ""), getattr(inner, "land", False)

    @property
    def stepping(self) -> Stepping:
        """As every adaptive solver says."""
        return "adaptive"

    def solve(self, odeint: OdeInt, module: Any, y0: Tensor, ts: Tensor) -> Tensor:
        """States at ts, (times, batch, state), at a hundredth of the root of the tolerance."""
        loose = self.inner.with_tolerance(self.inner.rtol**0.5 * 1e-2, self.inner.atol)
        return loose.solve(odeint, module, y0, ts)

    def refined(self) -> RootTolerance:
        """The same mistake, at a tenth of the tolerance."""
        return self.with_tolerance(self.rtol / 10, None if self.atol is None else self.atol / 10)

    def with_tolerance(self, rtol: float, atol: float | None) -> RootTolerance:
        """The same mistake, at another tolerance."""
        return RootTolerance(self.inner.with_tolerance(rtol, atol))


def _root_tolerance(subject: Subject) -> Subject:
    if not isinstance(subject.solver, Toleranced):
        raise NotApplicable("the solver has no tolerance that can be chosen")
    return replace(subject, solver=RootTolerance(subject.solver))


ROOT_TOLERANCE = Mutant("tolerance to the power of one half", _root_tolerance)
