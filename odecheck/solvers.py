"""Solvers as data: how each is called, what order it states, and how it refines itself.

The methods are torchdiffeq's; what only another library has is a subclass with METHODS of its own, beside its engine.
What a solver is, is what it says (`stepping`), and not the class that it is of.

A claim judges a solver on three rungs of its own refinement. An adaptive solver divides its tolerance by ten, a
fixed-step solver halves its step: tightening the tolerance of a fixed-step solver would change nothing and give a
bar of zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

OdeInt = Callable[..., Tensor]
Stepping = Literal["fixed", "adaptive"]

# The order of each method, stated here alone: tableaus and other libraries' solvers take it from here. Torchdiffeq's
# solver classes state the same (`order`); their interpolants carry no statement of their own.
ADAPTIVE: Mapping[str, int] = MappingProxyType(
    {"dopri8": 8, "dopri5": 5, "bosh3": 3, "fehlberg2": 2, "adaptive_heun": 2}
)
ONE_STEP: Mapping[str, int] = MappingProxyType({"euler": 1, "midpoint": 2, "heun2": 2, "heun3": 3, "rk4": 4})
MULTISTEP: Mapping[str, int] = MappingProxyType({"explicit_adams": 4, "implicit_adams": 4, "fixed_adams": 4})
FIXED_STEP: Mapping[str, int] = MappingProxyType({**ONE_STEP, **MULTISTEP})
# adaptive methods that torchdiffeq does not have and more than one other library has
ELSEWHERE: Mapping[str, int] = MappingProxyType({"tsit5": 5, "heun": 2})
_ORDERS: Mapping[str, int] = MappingProxyType({**ADAPTIVE, **FIXED_STEP, **ELSEWHERE})
# global order of an output between two step ends that the interpolant alone allows
INTERPOLANT_ORDER: Mapping[str, int] = MappingProxyType({"linear": 2, "cubic": 4})


def orders(*methods: str) -> Mapping[str, int]:
    """The orders of methods, for a solver class that has them.

    Args:
        methods: Names of methods.

    Returns:
        Name → order, in this order.

    Raises:
        KeyError: A method that is not known here.
    """
    return MappingProxyType({method: _ORDERS[method] for method in methods})


@runtime_checkable
class Solver(Protocol):
    """How an initial value problem is stepped."""

    @property
    def name(self) -> str:
        """The name that records show, with the step or the tolerance."""
        ...

    @property
    def order(self) -> int:
        """The order that the solver states."""
        ...

    @property
    def stepping(self) -> Stepping:
        """Whether steps are of a length that is given, or chosen by a tolerance. Claims ask this, and no class."""
        ...

    def solve(self, odeint: OdeInt, module: Any, y0: Tensor, ts: Tensor) -> Tensor:
        """Solve an initial value problem, by calling `odeint(module, y0, ts, ...)` with this solver's arguments.

        Args:
            odeint: A function with the arguments of torchdiffeq's.
            module: The field, called as module(t, y).
            y0: The start, (batch, state).
            ts: The times of the outputs, (times,), monotone.

        Returns:
            States at ts, (times, batch, state).
        """
        ...

    def refined(self) -> Solver:
        """The same solver, one rung finer.

        Returns:
            One with half the step, or a tenth of the tolerance.
        """
        ...


@runtime_checkable
class Stepped(Solver, Protocol):
    """A fixed-step solver whose step can be chosen: it is asked about its order at steps that fit the problem."""

    @property
    def step(self) -> float:
        """In units of time, positive also for decreasing times."""
        ...

    def with_step(self, step: float) -> Stepped:
        """The same solver with another step.

        Args:
            step: In units of time, positive.

        Returns:
            A new solver.
        """
        ...


@runtime_checkable
class Toleranced(Solver, Protocol):
    """An adaptive solver whose tolerance can be chosen: it is asked how its error follows the tolerance."""

    @property
    def rtol(self) -> float:
        """The relative tolerance."""
        ...

    @property
    def atol(self) -> float | None:
        """The absolute tolerance; None: rtol / 100."""
        ...

    def with_tolerance(self, rtol: float, atol: float | None) -> Toleranced:
        """The same solver with other tolerances.

        Args:
            rtol: The relative tolerance, positive.
            atol: The absolute one; None: rtol / 100.

        Returns:
            A new solver.
        """
        ...


@dataclass(frozen=True)
class Adaptive:
    """An adaptive method of torchdiffeq.

    Args:
        method: One of METHODS.
        rtol: Relative tolerance.
        atol: Absolute tolerance, by default rtol / 100.
        land: End a step on every output time instead of interpolating the outputs; torchdiffeq's interpolant is of
            degree four whatever the method.
        options: Passed on to the solver (`jump_t`, `first_step`, …).
        max_steps: The budget of steps between two outputs.

    Raises:
        ValueError: An unknown method, or a tolerance that is not positive.

    Examples:
        >>> Adaptive("dopri5", rtol=1e-6).refined().name
        'dopri5(rtol=1e-07)'
    """

    method: str = "dopri5"
    rtol: float = 1e-7
    atol: float | None = None
    land: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    max_steps: int = 100_000
    METHODS: ClassVar[Mapping[str, int]] = MappingProxyType({**ADAPTIVE, "scipy_solver": 5})

    def __post_init__(self) -> None:
        if self.method not in self.METHODS:
            raise ValueError(
                f"no adaptive method {self.method!r}; there are {', '.join(self.METHODS)}. "
                "Fixed-step methods take FixedStep(method, step)."
            )
        if not self.rtol > 0:
            raise ValueError(f"rtol is {self.rtol}; it has to be positive, for example 1e-7")

    @property
    def name(self) -> str:
        """The method with its step or tolerance, as records show it."""
        return f"{self.method}(rtol={self.rtol:g}{', landing' if self.land else ''})"

    @property
    def order(self) -> int:
        """The order of the method."""
        return self.METHODS[self.method]

    @property
    def stepping(self) -> Stepping:
        """Steps are chosen by the tolerance."""
        return "adaptive"

    def solve(self, odeint: OdeInt, module: Any, y0: Tensor, ts: Tensor) -> Tensor:
        """States at ts, (times, batch, state); see `Solver.solve`."""
        atol = self.rtol / 100 if self.atol is None else self.atol
        options = dict(self.options)
        if self.method != "scipy_solver":
            options.setdefault("max_num_steps", self.max_steps)
            if self.land:
                options["step_t"] = ts.detach().to(torch.float64)
        return odeint(module, y0, ts, method=self.method, rtol=self.rtol, atol=atol, options=options)

    def refined(self) -> Adaptive:
        """The same solver, one rung finer: tolerances divided by ten."""
        return replace(self, rtol=self.rtol / 10, atol=None if self.atol is None else self.atol / 10)

    def with_tolerance(self, rtol: float, atol: float | None) -> Adaptive:
        """The same solver with other tolerances; see `Toleranced`."""
        return replace(self, rtol=rtol, atol=atol)


@dataclass(frozen=True)
class FixedStep:
    """A fixed-step method of torchdiffeq.

    The steps start at the first time and the last one is cut to end at the last time.

    Args:
        method: One of METHODS.
        step: In units of time, positive also for decreasing times.
        interp: How outputs inside a step are interpolated: "linear" (torchdiffeq's default) or "cubic".
        options: Passed on to the solver.

    Raises:
        ValueError: An unknown method, or a step that is not positive.

    Examples:
        >>> FixedStep("rk4", step=0.5).refined().name
        'rk4(step=0.25)'
    """

    method: str = "rk4"
    step: float = 0.05
    interp: str = "linear"
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    METHODS: ClassVar[Mapping[str, int]] = FIXED_STEP

    def __post_init__(self) -> None:
        if self.method not in self.METHODS:
            raise ValueError(
                f"no fixed-step method {self.method!r}; there are {', '.join(self.METHODS)}. "
                "Adaptive methods take Adaptive(method, rtol=...)."
            )
        if not self.step > 0:
            raise ValueError(f"the step is {self.step}; it has to be positive, also for decreasing times")

    @property
    def name(self) -> str:
        """The method with its step or tolerance, as records show it."""
        return f"{self.method}(step={self.step:g}{'' if self.interp == 'linear' else ', ' + self.interp})"

    @property
    def order(self) -> int:
        """The order of the method."""
        return self.METHODS[self.method]

    @property
    def dense_order(self) -> int:
        """The order between step ends: that of the steps, or less where the interpolant allows no more."""
        return min(self.order, INTERPOLANT_ORDER[self.interp])

    @property
    def stepping(self) -> Stepping:
        """Steps are of a length that is given."""
        return "fixed"

    def solve(self, odeint: OdeInt, module: Any, y0: Tensor, ts: Tensor) -> Tensor:
        """States at ts, (times, batch, state); see `Solver.solve`."""
        options = {"step_size": self.step, "interp": self.interp, **self.options}
        return odeint(module, y0, ts, method=self.method, options=options)

    def refined(self) -> FixedStep:
        """The same solver, one rung finer: half the step."""
        return replace(self, step=self.step / 2)

    def with_step(self, step: float) -> FixedStep:
        """The same solver with another step, in units of time."""
        return replace(self, step=step)


@dataclass(frozen=True)
class GivenSteps:
    """A fixed-step method whose steps end on the times asked for and nowhere else: the way to a grid that is not even.

    Args:
        method: One of `known`.
        halvings: How often every step is halved; the outputs stay those asked for.
        known: Methods and their orders; by default those of torchdiffeq.

    Raises:
        ValueError: An unknown method.
    """

    method: str = "rk4"
    halvings: int = 0
    known: Mapping[str, int] = field(default_factory=lambda: dict(FIXED_STEP), hash=False, repr=False)

    def __post_init__(self) -> None:
        if self.method not in self.known:
            raise ValueError(f"no fixed-step method {self.method!r}; there are {', '.join(self.known)}")

    @property
    def name(self) -> str:
        """The method with its step or tolerance, as records show it."""
        return f"{self.method}(given steps{f', halved {self.halvings}' if self.halvings else ''})"

    @property
    def order(self) -> int:
        """The order of the method."""
        return self.known[self.method]

    @property
    def stepping(self) -> Stepping:
        """Steps are of a length that is given."""
        return "fixed"

    def solve(self, odeint: OdeInt, module: Any, y0: Tensor, ts: Tensor) -> Tensor:
        """States at ts, (times, batch, state); see `Solver.solve`."""
        grid = ts
        for _ in range(self.halvings):
            grid = torch.cat([grid[:1], torch.stack([(grid[1:] + grid[:-1]) / 2, grid[1:]], dim=1).flatten()])
        return odeint(module, y0, grid, method=self.method, options={})[:: 2**self.halvings]

    def refined(self) -> GivenSteps:
        """The same solver, one rung finer: every step halved once more."""
        return replace(self, halvings=self.halvings + 1)
