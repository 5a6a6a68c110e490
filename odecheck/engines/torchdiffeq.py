"""torchdiffeq: backpropagation through the steps, the continuous adjoint, and the adjoint in a seminorm.

Every release from 0.0.1 on, each beside the one that is installed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from torch import Tensor, nn

from odecheck.errors import Unsupported
from odecheck.solvers import ADAPTIVE, FIXED_STEP, Adaptive, FixedStep, Solver, orders

from .base import EventFn, OdeIntEngine
from .known_failures.torchdiffeq import KNOWN
from .library import Asked, Declared, Library, Topic
from .release import CHECKOUT, load
from .script_call import Call, like_torchdiffeq


@dataclass(frozen=True)
class Interface:
    """One of the library's two functions, of one release.

    Options that a release does not know are left out where leaving them out changes nothing; Unsupported is raised
    where it would.

    Attributes:
        function: odeint or odeint_adjoint.
        release: the version; none for whatever is installed.
        folder: where releases are kept beside the installed one.
        seminorm: whether the adjoint's steps are chosen in a seminorm.
    """

    function: str
    release: str = ""
    folder: str = field(default="", compare=False)
    seminorm: bool = False

    @property
    def library(self) -> Any:
        """The module of this release."""
        if not self.release:
            import torchdiffeq  # pyright: ignore[reportMissingTypeStubs]

            return torchdiffeq
        return load("torchdiffeq", self.release, self.folder)

    def __call__(self, module: Any, y0: Any, ts: Tensor, *, method: str, options: Any, **how: Any) -> Any:
        """The states (times, batch, state) at `ts`, attached to y0, ts and the module's parameters."""
        options = dict(options)
        if self.release:
            options = self._taken(method, options)
        if self.seminorm:
            if method not in ADAPTIVE:
                raise Unsupported(f"{method} measures no error: there is no norm to choose")
            how["adjoint_options"] = {**options, "norm": "seminorm"}
        return getattr(self.library, self.function)(module, y0, ts, method=method, options=options, **how)

    def event(self, module: Any, y0: Tensor, t0: Tensor, event: EventFn, **how: Any) -> tuple[Tensor, Tensor]:
        """The time of an event and the states (2, batch, state) at the start and at it, by `odeint_event`."""
        """As `EventEngine.event`."""
        find = getattr(self.library, "odeint_event", None)
        if find is None:
            raise Unsupported(f"torchdiffeq {self.release} finds no events")
        how["options"] = self._taken(how["method"], how["options"]) if self.release else how["options"]
        return find(module, y0, t0, event_fn=event, odeint_interface=getattr(self.library, self.function), **how)

    def _taken(self, method: str, options: dict[str, Any]) -> dict[str, Any]:
        solvers = solvers_of(self.library)
        if method not in solvers:
            raise Unsupported(f"torchdiffeq {self.release} has no {method}")
        names = parameters_of(solvers[method])
        missing = {name: value for name, value in options.items() if name not in names}
        for name, value in missing.items():
            if name not in ("max_num_steps", "interp") or (name == "interp" and value != "linear"):
                raise Unsupported(f"torchdiffeq {self.release}: {method} has no option {name}")
        return {name: value for name, value in options.items() if name not in missing}


def solvers_of(library: Any) -> dict[str, type]:
    """The library's own table of methods."""
    # the package has a function of the name of the module
    return vars(inspect.getmodule(library.odeint))["SOLVERS"]


def parameters_of(solver: type) -> set[str]:
    """The options that a solver's constructors name."""
    made = (vars(base)["__init__"] for base in solver.__mro__ if "__init__" in vars(base) and base is not object)
    return {name for init in made for name in inspect.signature(init).parameters}


@dataclass(frozen=True)
class TorchdiffeqEngine(OdeIntEngine):
    """One of torchdiffeq's two interfaces, its events and its options for discontinuities included.

    Attributes:
        declared_name: what it is declared as, where it is one of another release.
    """

    declared_name: str = ""

    def event(self, module: nn.Module, solver: Solver, y0: Tensor, t0: Tensor, event: EventFn) -> tuple[Tensor, Tensor]:
        """As `EventEngine.event`."""
        found: list[tuple[Tensor, Tensor]] = []

        def solve(field: Any, start: Tensor, times: Tensor, **how: Any) -> Tensor:
            # nobody knows the time of an event beforehand: there is none to land on
            how["options"] = {key: value for key, value in how["options"].items() if key != "step_t"}
            found.append(cast(Interface, self.odeint).event(field, start, times, event, **how))
            return start

        solver.solve(solve, module, y0, t0)
        time, states = found[0]
        return time, states[-1]

    def told(self, solver: Solver, jumps: Tensor) -> Solver:
        """As `JumpEngine.told`."""
        if not isinstance(solver, Adaptive) or solver.method == "scipy_solver":
            raise Unsupported(f"{solver.name} has no jump_t")
        return replace(solver, options={**solver.options, "jump_t": jumps})


NO_GRADIENT = ("scipy_solver",)
BACKPROP = TorchdiffeqEngine("torchdiffeq backprop", "steps", Interface("odeint"), unsupported_methods=NO_GRADIENT)
ADJOINT = TorchdiffeqEngine("torchdiffeq adjoint", "flow", Interface("odeint_adjoint"))
SEMINORM = TorchdiffeqEngine("torchdiffeq seminorm adjoint", "flow", Interface("odeint_adjoint", seminorm=True))


def Backprop() -> TorchdiffeqEngine:
    """The engine of torchdiffeq.odeint: the derivative of the steps, by automatic differentiation.

    Returns:
        The engine, the same each time, with whatever release is installed. Its target is "steps". It raises
        Unsupported for a gradient through `scipy_solver`, which leaves torch's graph.
    """
    return BACKPROP


def Adjoint() -> TorchdiffeqEngine:
    """The engine of torchdiffeq.odeint_adjoint: the derivative of the flow, by a second solve backwards in time.

    Returns:
        The engine, the same each time, with whatever release is installed. Its target is "flow".
    """
    return ADJOINT


def Seminorm() -> TorchdiffeqEngine:
    """The adjoint whose step control does not see the parameters' part of the adjoint state.

    Returns:
        The engine of torchdiffeq.odeint_adjoint with `norm="seminorm"`. Its target is "flow". It raises Unsupported for
        a method of fixed steps, which measures no error.

    Source: Kidger, Chen, Lyons (2021), "Hey, that's not an ODE": faster ODE adjoints via seminorms.
    """
    return SEMINORM


def of_release(engine: TorchdiffeqEngine, release: str, folder: str) -> TorchdiffeqEngine:
    """An engine of this file with another release of the library."""
    at = replace(cast(Interface, engine.odeint), release=release, folder=folder)
    name = engine.name.replace("torchdiffeq", f"torchdiffeq {release}")
    return replace(engine, name=name, odeint=at, declared_name=engine.name)


# --- what `odecheck conformance` asks -----------------------------------------------------------------------------

RELEASES = ("0.0.1", "0.1.0", "0.1.1", "0.2.0", "0.2.1", "0.2.2", "0.2.3", "0.2.4", "0.2.5")
# Of a low order a tight tolerance costs many steps.
RTOL = {2: 3e-5, 3: 1e-6, 5: 1e-7, 8: 1e-9}
STEP = {1: 0.02, 2: 0.05, 3: 0.05, 4: 0.125, 5: 0.125, 6: 0.125}
# Methods of which derivatives are asked with the newest release.
NEWEST = ("dopri5", "rk4", "bosh3", "dopri8", "midpoint", "euler", "implicit_adams")


@dataclass(frozen=True)
class Former(Adaptive):
    """Adaptive methods that only old releases have; tsit5 came back after the newest."""

    METHODS = {**orders("tsit5"), "adams": 5}  # noqa: RUF012


@dataclass(frozen=True)
class Coming(FixedStep):
    """Implicit methods of fixed steps that torchdiffeq's repository has, and no release yet."""

    METHODS = {  # noqa: RUF012
        "implicit_euler": 1,
        "implicit_midpoint": 2,
        "trapezoid": 2,
        "sdirk2": 2,
        "trbdf2": 2,
        "radauIIA3": 3,
        "gl4": 4,
        "radauIIA5": 5,
        "gl6": 6,
    }


# The methods by the release that first had them; two of them only that one had. A test reads the releases' own tables.
SINCE = {
    "0.0.1": ("dopri5", "bosh3", "adaptive_heun", "euler", "midpoint", "rk4", "explicit_adams", "fixed_adams"),
    "0.1.0": ("dopri8", "implicit_adams"),
    "0.2.0": ("scipy_solver",),
    "0.2.1": ("fehlberg2",),
    "0.2.4": ("heun3",),
    "0.2.5": ("heun2",),
}


def methods_of(release: str) -> tuple[str, ...]:
    """The methods that a release has; of an untested one those of the newest that was."""
    last = RELEASES.index(release) if release in RELEASES else len(RELEASES) - 1
    found = [m for first, methods in SINCE.items() if RELEASES.index(first) <= last for m in methods]
    return (*found, *(Former.METHODS if last == 0 else ()))


def _solver(method: str) -> Solver:
    if method in FIXED_STEP:
        return FixedStep(method, step=STEP[FIXED_STEP[method]])
    if method in Former.METHODS:
        return Former(method, rtol=1e-7, max_steps=2_000)
    return Adaptive(method, rtol=1e-8 if method == "scipy_solver" else RTOL[ADAPTIVE[method]])


def asks(release: str, folder: str) -> list[Asked]:
    """All methods that the release has, with each interface; the newest one with its interpolants and landing too.

    A checkout is asked for methods beyond those of any release as well.
    """
    newest = release not in RELEASES[:-1]
    solvers = {method: _solver(method) for method in methods_of(release)}
    if CHECKOUT in release:
        solvers |= {method: Coming(method, step=STEP[order]) for method, order in Coming.METHODS.items()}
        solvers |= {method: _solver(method) for method in Former.METHODS if method != "adams"}
    if newest:
        solvers |= {
            "rk4, cubic": FixedStep("rk4", step=STEP[4], interp="cubic"),
            "dopri5, landing": Adaptive("dopri5", rtol=RTOL[5], land=True),
            "dopri8, landing": Adaptive("dopri8", rtol=RTOL[8], land=True),
        }
    found: list[Asked] = []
    for method, solver in solvers.items():
        for name, engine in (("backprop", BACKPROP), ("adjoint", ADJOINT), ("seminorm adjoint", SEMINORM)):
            topics = _topics(name, method, newest)
            if topics:
                at = of_release(engine, release, folder)
                found.append(Asked(solver, at, name, method, topics, brief=not newest or method != "dopri5"))
    return found


def _topics(engine: str, method: str, newest: bool) -> tuple[Topic, ...]:
    """What is asked: of every release all methods' solutions, and the rest of dopri5; of the newest one more."""
    if engine == "seminorm adjoint":
        return ("derivatives",) if newest and method == "dopri5" else ()
    topics: list[Topic] = []
    if engine == "backprop":
        topics.append("solution")
    if (
        method == "dopri5"
        or (newest and method in (*NEWEST, *Coming.METHODS))
        or (method, engine) == ("rk4", "backprop")
    ):
        topics.append("derivatives")
    if method == "dopri5" or (newest and method == "rk4"):
        topics.append("use")
    return tuple(topics)


def script_call(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    """One of the two functions, with the options of the engine."""
    more = {"adjoint_options": {"norm": "seminorm"}} if name == SEMINORM.name else {}
    function = "odeint" if name == BACKPROP.name else "odeint_adjoint"
    line = f"from torchdiffeq import {function} as odeint"
    return like_torchdiffeq(line, "return odeint(field, y0, ts, **how)", how, options, more)


LIBRARY = Library(
    "torchdiffeq",
    "torchdiffeq",
    RELEASES,
    asks,
    KNOWN,
    side_by_side=True,
    engines=(
        Declared(BACKPROP, ("dopri5", "dopri8")),
        Declared(ADJOINT, ("dopri5", "dopri8")),
        Declared(SEMINORM, ("dopri5",)),
    ),
    lands=True,
    any_steps=True,
    script_call=script_call,
    order=50,
)
