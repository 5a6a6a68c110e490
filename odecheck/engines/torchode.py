"""torchode: automatic differentiation of the steps, and the adjoint solved back in time for each row or for all."""

# pyright: standard
# (torchode comes without types)
from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from odecheck.errors import Unsupported
from odecheck.instruments.step_counts import listener
from odecheck.solvers import Adaptive, FixedStep, orders

from .base import OdeIntEngine
from .known_failures.torchode import KNOWN
from .library import Asked, Declared, Library, Topic
from .script_call import Call, keywords

Adjoints = Literal["AutoDiffAdjoint", "BacksolveAdjoint", "JointBacksolveAdjoint"]


@dataclass(frozen=True)
class TorchodeAdaptive(Adaptive):
    """A method of torchode with its integral controller. Outputs are interpolated, each row has steps of its own."""

    METHODS: ClassVar = orders("dopri5", "tsit5", "heun")


@dataclass(frozen=True)
class TorchodeFixed(FixedStep):
    """A method of torchode with a step of fixed length; the last one is cut."""

    METHODS: ClassVar = orders("euler", "heun2")


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


def script_call(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    """torchode's objects, put together."""
    adjoint = name.split()[-1]
    stepper = {"dopri5": "Dopri5", "tsit5": "Tsit5", "heun": "Heun", "heun2": "Heun", "euler": "Euler"}[how["method"]]
    fixed = "step_size" in options
    control = "to.FixedStepController()" if fixed else "to.IntegralController(**how, term=term)"
    made = "to.{}Adjoint({}to.{}(term=term), {})".format(
        adjoint, "" if adjoint == "AutoDiff" else "term, ", stepper, control
    )
    rows = "1" if adjoint == "JointBacksolve" else "len(y0)"
    direction = "how['step_size'] * float(torch.sign(ts[-1] - ts[0]))"
    first = f"torch.full(({rows},), {direction}, dtype=y0.dtype)" if fixed else "None"
    body = [
        "term = to.ODETerm(field)",
        f"problem = to.InitialValueProblem(y0, t_eval=ts.expand(len(y0), -1)); dt0 = {first}",
        f"return {made}.solve(problem, dt0=dt0).ys.transpose(0, 1)",
    ]
    kept = {"step_size": options["step_size"]} if fixed else {k: how[k] for k in ("atol", "rtol")}
    return Call(["import torchode as to"], body, keywords(kept), time="t[..., None]")  # a time for each row


LIBRARY = Library(
    "torchode",
    "torchode",
    ("1.0.1",),
    asks,
    KNOWN,
    engines=(Declared(AUTODIFF, ("dopri5", "tsit5")), Declared(BACKSOLVE, ("dopri5",)), Declared(JOINT, ("dopri5",))),
    adaptive=TorchodeAdaptive,
    script_call=script_call,
    order=10,
)
