"""torchode: automatic differentiation of the steps, and the adjoint solved back in time for each row or for all."""

# pyright: standard
# (torchode comes without types)
from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from odecheck.errors import Unsupported
from odecheck.instruments.step_counts import listener
from odecheck.solvers import Adaptive, FixedStep

from .base import OdeIntEngine
from .library import ALL_ZERO, AT_REST, DATA, REPLAYED, Asked, Known, Library, Topic, named

Adjoints = Literal["AutoDiffAdjoint", "BacksolveAdjoint", "JointBacksolveAdjoint"]


@dataclass(frozen=True)
class TorchodeAdaptive(Adaptive):
    """A method of torchode with its integral controller. Outputs are interpolated, each row has steps of its own."""

    METHODS: ClassVar = {"dopri5": 5, "tsit5": 5, "heun": 2}


@dataclass(frozen=True)
class TorchodeFixed(FixedStep):
    """A method of torchode with a step of fixed length; the last one is cut."""

    METHODS: ClassVar = {"euler": 1, "heun2": 2}


CLASSES = {"dopri5": "Dopri5", "tsit5": "Tsit5", "heun": "Heun", "heun2": "Heun", "euler": "Euler"}


class _Rows(nn.Module):
    """The field as torchode calls it: with a time for each row, or (under vmap) a single row with its time."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.inner(t[..., None], y)


@dataclass(frozen=True)
class Solve:
    """torchode's objects, put together for one solve."""

    adjoint: Adjoints

    def __call__(self, module: Any, y0: Any, ts: Tensor, *, method: str, options: Any, **tolerances: float) -> Tensor:
        library: Any = importlib.import_module("torchode")
        step = options.get("step_size")
        refused = set(options) - {"step_size", "max_num_steps"} - ({"interp"} if step else set())
        if method not in CLASSES or refused:
            raise Unsupported(f"torchode has no {method} or no option {', '.join(sorted(refused))}")
        if not isinstance(y0, Tensor) or y0.dim() != 2:
            raise Unsupported("torchode's states are of shape (batch, features)")
        if step is None and not tolerances:
            raise Unsupported("torchode takes no steps that are given one by one")
        term = library.ODETerm(_Rows(module))
        stepper = getattr(library, CLASSES[method])(term=term)
        if step is None:
            control, dt0 = library.IntegralController(**tolerances, term=term), None
        else:
            direction = torch.sign(ts[-1] - ts[0]).detach()
            rows = 1 if self.adjoint == "JointBacksolveAdjoint" else len(y0)
            control, dt0 = library.FixedStepController(), (direction * step).expand(rows)
        made = getattr(library, self.adjoint)
        if self.adjoint == "AutoDiffAdjoint":
            adjoint = made(stepper, control, max_steps=options.get("max_num_steps"))
        else:
            adjoint = made(term, stepper, control)
        problem = library.InitialValueProblem(y0, t_eval=ts.expand(len(y0), -1))
        found = adjoint.solve(problem, dt0=dt0)
        if bool((found.status != 0).any()):
            raise RuntimeError(f"torchode stopped: {library.Status(int(found.status.max()))}")
        told = listener()
        if told is not None:
            told.later.append(lambda: _steps(found.stats))
        return found.ys.transpose(0, 1)


def _steps(stats: Any) -> dict[str, int]:
    """Steps from the library's own statistics, to which its backward pass adds.

    Every row has steps of its own; the field is evaluated with all rows until the last one has ended. So these are the
    steps of the row that took most, in each solve.
    """
    found: dict[str, int] = {}
    for direction, solves in (("forward", [stats]), ("backward", stats.get("backsolve", []))):
        rows = [(one, int(one["n_steps"].argmax())) for one in solves]
        accepted = sum(int(one["n_accepted"][row]) for one, row in rows)
        tries = sum(int(one["n_steps"][row]) for one, row in rows)
        found |= {f"accepted_{direction}": accepted, f"rejected_{direction}": tries - accepted}
    return found


AUTODIFF = OdeIntEngine("torchode AutoDiff", "steps", Solve("AutoDiffAdjoint"))
BACKSOLVE = OdeIntEngine("torchode Backsolve", "flow", Solve("BacksolveAdjoint"))
JOINT = OdeIntEngine("torchode JointBacksolve", "flow", Solve("JointBacksolveAdjoint"))


def asks(release: str, folder: str) -> list[Asked]:
    """The four methods, adaptive and fixed, with automatic differentiation; two of them with the adjoints."""
    both: tuple[Topic, ...] = ("solution", "derivatives")
    use: tuple[Topic, ...] = ("derivatives", "use")
    found = [
        Asked(TorchodeAdaptive("dopri5", rtol=1e-6), AUTODIFF, "AutoDiff", "dopri5"),
        Asked(TorchodeAdaptive("tsit5", rtol=1e-6), AUTODIFF, "AutoDiff", "tsit5", both, brief=True),
        Asked(TorchodeAdaptive("heun", rtol=3e-5), AUTODIFF, "AutoDiff", "heun", ("solution",), brief=True),
        Asked(TorchodeFixed("heun2", step=0.05), AUTODIFF, "AutoDiff", "heun, fixed step", both, brief=True),
        Asked(TorchodeFixed("euler", step=0.02), AUTODIFF, "AutoDiff", "euler, fixed step", ("solution",), brief=True),
    ]
    for name, engine in (("Backsolve", BACKSOLVE), ("JointBacksolve", JOINT)):
        found.append(Asked(TorchodeAdaptive("dopri5", rtol=1e-6), engine, name, "dopri5", use, brief=True))
    # of fixed steps both adjoints are the same equations: one of them is asked
    return [
        *found,
        Asked(
            TorchodeFixed("heun2", step=0.05), BACKSOLVE, "Backsolve", "heun, fixed step", ("derivatives",), brief=True
        ),
    ]


BACK = ("Backsolve", "JointBacksolve")
KNOWN: tuple[Known, ...] = named(
    Known(
        "an error estimate of zero, where the solution is at rest, is raised to a negative power and differentiated: "
        "0 · inf, NaN",
        claims=("DER-7", "DER-17"),
        engines=("AutoDiff",),
        methods=("dopri5", "tsit5"),
        problems=AT_REST,
    ),
    Known(
        "the derivative goes through the step control, which a jump of the field drives: it is that of the steps and "
        "not that of the flow",
        claims=("DER-8",),
        engines=("AutoDiff",),
        methods=("dopri5", "tsit5"),
    ),
    Known(DATA, claims=("USE-6",), engines=("AutoDiff",), problems=("linear*",)),
    Known(
        "the backsolve adjoints return no gradient for times: `ts.grad` stays None",
        claims=("NODE-3", "DER-2", "DER-3", "DER-6"),
        engines=BACK,
    ),
    Known(
        "a parameter that the field has under two names gets a gradient of zero",
        claims=("DER-12",),
        engines=("Backsolve",),
    ),
    Known(
        "the backward pass puts the parameters of both precisions into one state: the field sees another precision "
        "than forwards",
        claims=("DER-13",),
        engines=BACK,
    ),
    Known(ALL_ZERO, claims=("HES-2", "HES-3", "HES-4", "HES-5"), engines=BACK),
    Known(REPLAYED, claims=("USE-3", "USE-5", "USE-6"), engines=BACK),
    Known(REPLAYED, claims=("USE-4",), engines=("JointBacksolve",)),
)

LIBRARY = Library("torchode", "torchode", ("1.0.1",), asks, KNOWN)
