"""torchdyn: backpropagation, the adjoint, and the adjoint along an interpolated trajectory."""

# pyright: standard
# (torchdyn comes without types)
from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from odecheck.errors import Unsupported
from odecheck.instruments.told import Told, listener
from odecheck.solvers import FIXED_STEP, Adaptive, FixedStep, Solver, orders

from .base import Derivatives, LossFn, OdeIntEngine
from .known_failures.torchdyn import KNOWN
from .library import Asked, Declared, Library, Topic
from .script_call import Call, keywords, text

Sensitivity = Literal["autograd", "adjoint", "interpolated_adjoint"]


@dataclass(frozen=True)
class TorchdynAdaptive(Adaptive):
    """An adaptive method of torchdyn. land: as it comes, steps end on the outputs; otherwise its `4th` interpolator."""

    METHODS: ClassVar = orders("dopri5", "tsit5")


FIXED = ("euler", "midpoint", "rk4")


def _library(name: str) -> Any:
    """A module of torchdyn, without what `import torchdyn.core` brings along.

    The package's own file imports Lightning and torchvision, which solving needs nothing of; where torchvision was
    built for another torch that import fails.
    """
    package = importlib.import_module("torchdyn")
    if "torchdyn.core" not in sys.modules:
        core = ModuleType("torchdyn.core")
        core.__path__ = [str(Path(folder) / "core") for folder in package.__path__]
        sys.modules["torchdyn.core"] = core
    return importlib.import_module(f"torchdyn.{name}")


class _Field(nn.Module):
    """The field as torchdyn calls it: with a time of shape () or (1,), and its arguments by these names."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, x: Tensor, args: Any = None) -> Tensor:
        return self.inner(t.reshape(()), x)


@dataclass(frozen=True)
class Solve:
    """One solve with one of the three sensitivities, as an `ODEProblem`.

    Attributes:
        sensitivity: torchdyn's name of the way to derivatives.
        by_name: with the name of its method, of which `ODEProblem` makes a solver in single precision; otherwise with a
            solver that was made in the precision of the state.
    """

    sensitivity: Sensitivity
    by_name: bool = False

    def __call__(self, module: Any, y0: Any, ts: Tensor, *, method: str, options: Any, **tolerances: float) -> Tensor:
        """The states (times, batch, state) at `ts`, attached to y0, ts and the module's parameters."""
        refused = set(options) - {"step_size", "max_num_steps", "step_t", "interp"}
        if refused or method not in (*FIXED, *TorchdynAdaptive.METHODS) or options.get("interp") == "cubic":
            raise Unsupported(f"torchdyn has no {method} or no such option as {', '.join(sorted(options))}")
        if not isinstance(y0, Tensor):
            raise Unsupported("torchdyn's states are tensors")
        interpolator = None if method in FIXED or "step_t" in options else "4th"
        if method == "tsit5" and interpolator:
            raise Unsupported("torchdyn has no interpolator for tsit5")
        span = _grid(ts, options["step_size"]) if "step_size" in options else ts
        if tolerances:
            tolerances |= {f"{name}_adjoint": value for name, value in tolerances.items()}
        solver = method
        if not self.by_name:
            solver = _library("numerics.solvers.ode").SOLVER_DICT[method](dtype=y0.dtype)
            _watch(solver, listener())
        problem = _library("core.problems").ODEProblem(
            _Field(module), solver, interpolator, sensitivity=self.sensitivity, **tolerances
        )
        seen, states = problem.odeint(y0, span)
        return states[_where(seen, ts)]


def _watch(solver: Any, told: Told | None) -> None:
    """Have our own solver object tell of its steps: one that begins where the last began follows a rejected one."""
    if told is None:
        return
    begin, step = solver.sync_device_dtype, solver.step  # the library calls the first of them once a solve
    last: Tensor | None = None

    def begins(*of: Any) -> Any:
        nonlocal last
        last = None
        return begin(*of)

    def steps(field: Any, x: Any, t: Tensor, dt: Tensor, **more: Any) -> Any:
        nonlocal last
        told.step(accepted=last is None or bool(last != t))
        last = t
        return step(field, x, t, dt, **more)

    solver.sync_device_dtype, solver.step = begins, steps


def _grid(ts: Tensor, step: float) -> Tensor:
    """Steps of a fixed length from the first time on, cut on every output: torchdyn has no output between steps."""
    parts = [ts[:1]]
    for begin, end in pairwise(ts):
        count = int(torch.ceil((end - begin).abs().detach() / step - 1e-9))
        inner = torch.arange(1, count, dtype=ts.dtype, device=ts.device) * step * torch.sign(end - begin).detach()
        parts += [begin + inner, end[None]]
    return torch.cat(parts)


def _where(seen: Tensor, ts: Tensor) -> Tensor:
    """Where the times asked for are among those that came back, which are negative where time decreases."""
    asked = ts.detach()
    seen = -seen if bool(asked[-1] < asked[0]) and bool(seen[-1] > seen[0]) else seen
    gaps = (seen.detach()[:, None] - asked).abs()
    if bool((gaps.min(dim=0).values > 1e-9 * (asked[-1] - asked[0]).abs()).any()):
        raise RuntimeError(f"torchdyn gave no state for some of the times {asked.tolist()}: {seen.tolist()[:20]}")
    return gaps.argmin(dim=0)


@dataclass(frozen=True)
class AdjointEngine(OdeIntEngine):
    """torchdyn's adjoint, which has derivatives in the first and last time where these are all its times."""

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        """As `Engine.gradient`."""
        if len(ts) == 2 and solver.stepping == "adaptive":
            return super().gradient(module, solver, y0, ts, loss)

        def fixed(module: Any, start: Any, times: Tensor, **how: Any) -> Tensor:
            return self.odeint(module, start, times.detach(), **how)

        got = OdeIntEngine(self.name, self.target, fixed).gradient(module, solver, y0, ts, loss)
        return replace(
            got, no_times="torchdyn's adjoint raises RuntimeError where more than two times ask for derivatives"
        )


AUTOGRAD = OdeIntEngine("torchdyn autograd", "steps", Solve("autograd"))
BY_NAME = OdeIntEngine("torchdyn autograd, solver by name", "steps", Solve("autograd", by_name=True))
ADJOINT = AdjointEngine("torchdyn adjoint", "flow", Solve("adjoint"))
INTERPOLATED = OdeIntEngine("torchdyn interpolated adjoint", "flow", Solve("interpolated_adjoint"))


def asks(release: str, folder: str) -> list[Asked]:
    """Three fixed-step and two adaptive methods; the adjoints with one of each."""
    both: tuple[Topic, ...] = ("solution", "derivatives")
    use: tuple[Topic, ...] = ("derivatives", "use")
    step = {"euler": 0.02, "midpoint": 0.05, "rk4": 0.125}
    assert set(step) <= set(FIXED_STEP)
    found = [
        Asked(
            FixedStep(method, step=h),
            AUTOGRAD,
            "autograd",
            method,
            both if method == "rk4" else ("solution",),
            brief=method != "rk4",
        )
        for method, h in step.items()
    ]
    dopri5, tsit5 = (TorchdynAdaptive(method, rtol=1e-7, land=True) for method in TorchdynAdaptive.METHODS)
    found += [
        Asked(dopri5, AUTOGRAD, "autograd", "dopri5"),
        Asked(tsit5, AUTOGRAD, "autograd", "tsit5", both, brief=True),
        Asked(TorchdynAdaptive("dopri5", rtol=1e-7), AUTOGRAD, "autograd", "dopri5, interpolated", both, brief=True),
    ]
    tight = TorchdynAdaptive("dopri5", rtol=1e-9, land=True)
    found.append(Asked(tight, BY_NAME, "autograd", "dopri5, by name", ("solution",), brief=True))
    for name, engine in (("adjoint", ADJOINT), ("interpolated adjoint", INTERPOLATED)):
        found += [
            Asked(dopri5, engine, name, "dopri5", use, brief=True),
            Asked(FixedStep("midpoint", step=0.05), engine, name, "midpoint", ("derivatives",), brief=True),
        ]
    return found


def script_call(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    """An `ODEProblem`, and the states at the times asked for out of those that it gives."""
    by_name = name.endswith(", solver by name")
    sensitivity = name.removeprefix("torchdyn ").removesuffix(", solver by name").replace(" ", "_")
    method = how["method"]
    kept = {k: how[k] for k in ("atol", "rtol") if k in how}
    kept |= {f"{k}_adjoint": v for k, v in kept.items()}
    interpolator = "None" if "rtol" not in how or "step_t" in options else "'4th'"
    imports = ["from torchdyn.core.problems import ODEProblem"]
    made = repr(method)
    if not by_name:  # of a name it makes a solver in single precision
        imports = [f"{imports[0]}; from torchdyn.numerics.solvers.ode import SOLVER_DICT"]
        made = f"SOLVER_DICT[{method!r}](dtype=y0.dtype)"
    tolerances = "" if "step_size" in options else ", **how"
    first = f"problem = ODEProblem(field, {made}, {interpolator}, sensitivity={sensitivity!r}{tolerances})"
    time = "t.reshape(())"  # or it comes with the shape (1,)
    if "step_size" not in options:
        return Call(
            imports,
            [
                first,
                "seen, states = problem.odeint(y0, ts)",
                "seen = -seen if ts[-1] < ts[0] and seen[-1] > seen[0] else seen",
                "return states[(seen.detach()[:, None] - ts.detach()).abs().argmin(0)]",
            ],
            keywords(kept),
            time=time,
        )
    body = [
        first,
        "n = [max(1, int(torch.ceil((b - a).abs() / how['step_size'] - 1e-9))) for a, b in zip(ts, ts[1:])]",
        "inner = lambda a, b, k: a + how['step_size'] * torch.sign(b - a).detach() * torch.arange(1, k)",
        "grid = torch.cat([ts[:1], *(torch.cat([inner(*c), c[1][None]]) for c in zip(ts, ts[1:], n))])",
        "return problem.odeint(y0, grid)[1][[0, *np.cumsum(n)]]",
    ]
    return Call(imports, body, f"step_size={text(options['step_size'])}", time=time)


LIBRARY = Library(
    "torchdyn",
    "torchdyn",
    ("1.0.6",),
    asks,
    KNOWN,
    install='pip install "odecheck[torchdyn]"',
    engines=(
        Declared(AUTOGRAD, ("dopri5", "tsit5")),
        Declared(BY_NAME),
        Declared(ADJOINT, ("dopri5", "tsit5")),
        Declared(INTERPOLATED, ("dopri5",)),
    ),
    adaptive=TorchdynAdaptive,
    lands=True,
    any_steps=True,
    script_call=script_call,
    order=20,
)
