"""A user's own call of diffrax's `diffeqsolve`, read while jax traces it, and its steps as a solver."""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

import inspect
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor

from odecheck.solvers import OdeInt, Stepping

_READING = threading.RLock()


@dataclass(frozen=True)
class Call:
    """What a call of diffeqsolve is made of.

    Attributes:
        method: the name of the solver's class.
        order: its order.
        evaluations: of the field in one step; 1 of a solver that is not explicit.
        explicit: whether it is an explicit Runge-Kutta method.
        adaptive: whether steps are chosen by a tolerance.
        adjoint: the name of the adjoint's class.
        max_steps: after so many it gives up, or None.
        counts: whether the steps are told outside the function: not where it has jax.jit inside.
    """

    method: str
    order: int
    evaluations: int
    explicit: bool
    adaptive: bool
    adjoint: str
    max_steps: int | None
    counts: bool = True

    @property
    def target(self) -> Literal["flow", "steps"]:
        """Which truth its derivative aims at."""
        return "flow" if self.adjoint == "BacksolveAdjoint" else "steps"


def controller_of(bound: Mapping[str, Any]) -> Any:
    """The controller that chooses the steps of a call, without what clips them.

    Args:
        bound: the call's arguments by name.
    """
    control = bound["stepsize_controller"]
    while hasattr(control, "controller"):
        control = control.controller
    return control


def read(bound: Mapping[str, Any], *, counts: bool = True) -> Call:
    """What a call is made of.

    Args:
        bound: its arguments by name, with the defaults.
        counts: as of `Call`.
    """
    import diffrax

    solver = bound["solver"]
    explicit = isinstance(solver, diffrax.AbstractERK)
    tableau: Any = getattr(solver, "tableau", None)
    evaluations = len(tableau.c) + (0 if tableau.fsal else 1) if explicit else 1
    return Call(
        type(solver).__name__,
        int(solver.order(bound["terms"]) or 1),
        evaluations,
        explicit or isinstance(solver, diffrax.Euler),
        hasattr(controller_of(bound), "rtol"),
        type(bound["adjoint"]).__name__,
        bound["max_steps"],
        counts,
    )


@contextmanager
def calls_read(seen: list[dict[str, Any]]) -> Generator[None]:
    """Within this block, every call of diffeqsolve that this thread makes is added to a list: its arguments by name.

    What it gave is there as "gives", a `diffrax.Solution`.

    The class of the object `diffrax.diffeqsolve` is told to look, since that object may be held under any name.
    """
    import diffrax

    wrapper: Any = diffrax.diffeqsolve
    kind: Any = type(wrapper)
    signature, me, original = inspect.signature(wrapper), threading.get_ident(), kind.__call__

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if self is wrapper and threading.get_ident() == me:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            found = original(self, *args, **kwargs)
            seen.append({**bound.arguments, "gives": found})
            return found
        return original(self, *args, **kwargs)

    with _READING:
        kind.__call__ = call
        try:
            yield
        finally:
            kind.__call__ = original


@dataclass(frozen=True)
class OwnTolerance:
    """The steps of a user's own solve, chosen by a tolerance.

    Attributes:
        call: what the solve is made of.
        rtol: the relative tolerance that it is given.
        atol: the absolute one; None: rtol / 100.
    """

    call: Call
    rtol: float
    atol: float | None = None

    @property
    def name(self) -> str:
        """The solver's class with the tolerance."""
        return f"{self.call.method}(rtol={self.rtol:g})"

    @property
    def order(self) -> int:
        """What the solver states."""
        return self.call.order

    @property
    def stepping(self) -> Stepping:
        """By the tolerance."""
        return "adaptive"

    @property
    def method(self) -> str:
        """The solver's class where it is explicit; of others one evaluation in each step is all that is certain."""
        return self.call.method.lower() if self.call.explicit else ""

    def solve(self, odeint: OdeInt, module: Any, y0: Tensor, ts: Tensor) -> Tensor:
        """As `Solver.solve`."""
        atol = self.rtol / 100 if self.atol is None else self.atol
        return odeint(module, y0, ts, method=self.call.method, rtol=self.rtol, atol=atol, options={})

    def refined(self) -> OwnTolerance:
        """Tolerances divided by ten."""
        return replace(self, rtol=self.rtol / 10, atol=None if self.atol is None else self.atol / 10)

    def with_tolerance(self, rtol: float, atol: float | None) -> OwnTolerance:
        """The same with other tolerances; see `Toleranced`."""
        return replace(self, rtol=rtol, atol=atol)


@dataclass(frozen=True)
class OwnStep:
    """The steps of a user's own solve, of one length; the last one is cut.

    Attributes:
        call: what the solve is made of.
        step: in units of time, positive also for decreasing times.
    """

    call: Call
    step: float

    @property
    def name(self) -> str:
        """The solver's class with the step."""
        return f"{self.call.method}(dt0={self.step:g})"

    @property
    def order(self) -> int:
        """What the solver states."""
        return self.call.order

    @property
    def stepping(self) -> Stepping:
        """Of a length that is given."""
        return "fixed"

    def solve(self, odeint: OdeInt, module: Any, y0: Tensor, ts: Tensor) -> Tensor:
        """As `Solver.solve`."""
        return odeint(module, y0, ts, method=self.call.method, options={"step_size": self.step})

    def refined(self) -> OwnStep:
        """Half the step."""
        return replace(self, step=self.step / 2)

    def with_step(self, step: float) -> OwnStep:
        """The same with another step."""
        return replace(self, step=step)
