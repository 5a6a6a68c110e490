"""How a solver library is called, as text: `solve(field, y0, ts, **how)` in as few lines as its users would write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..door import BadInput
from ..solvers import Solver
from ..subject import Subject


@dataclass(frozen=True)
class Call:
    """imports: lines; body: lines of a function solve(field, y0, ts, **how); how: its keywords, as text."""

    imports: list[str]
    body: list[str]
    how: str


@dataclass
class _Asked:
    how: dict[str, Any] = field(default_factory=dict[str, Any])


def arguments(solver: Solver, ts: Tensor) -> dict[str, Any]:
    """What a solver of odecheck hands to the library's function, beside field, start and times."""
    asked = _Asked()

    def spy(module: Any, y0: Tensor, times: Tensor, **how: Any) -> Tensor:
        asked.how = how
        return y0.new_zeros(len(times))

    solver.solve(spy, nn.Identity(), torch.zeros(1, 1, dtype=torch.float64), ts)
    return asked.how


def text(value: Any) -> str:
    """A keyword's value as Python text."""
    if isinstance(value, Tensor):
        return f"torch.tensor({value.tolist()})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {text(v)}" for k, v in value.items()) + "}"
    return f"{value:.6g}" if isinstance(value, float) and float(f"{value:.6g}") == value else repr(value)


def call(subject: Subject, ts: Tensor) -> Call:
    """How the subject's library is called. Raises BadInput for an engine that has no text here."""
    how = arguments(subject.solver, ts)
    options = {k: v for k, v in how.get("options", {}).items() if k != "max_num_steps"}
    plain = {**{k: v for k, v in how.items() if k != "options"}, **({"options": options} if options else {})}
    name = subject.engine.name
    if name.startswith("torchdiffeq"):
        adjoint = "adjoint" in name
        if "seminorm" in name:
            plain["adjoint_options"] = {"norm": "seminorm"}
        function = "odeint_adjoint" if adjoint else "odeint"
        return Call([f"from torchdiffeq import {function} as odeint"], ["return odeint(field, y0, ts, **how)"],
                    ", ".join(f"{k}={text(v)}" for k, v in plain.items()))  # fmt: skip
    if name.startswith("odecheck.odeint"):
        return Call(["from odecheck import odeint"], ["return odeint(field, y0, ts, **how)"],
                    ", ".join(f"{k}={text(v)}" for k, v in plain.items()))  # fmt: skip
    if name.startswith("torchode "):
        return _torchode(name.split()[-1], how, options)
    if name.startswith("torchdyn "):
        return _torchdyn(name.removeprefix("torchdyn ").replace(" ", "_"), how, options)
    raise BadInput(
        f"no script is known for {name}",
        "a library that is no torch library, or an engine of your own",
        "odecheck show ROW, which runs the case again with odecheck; or a branch in odecheck/reproduce/libraries.py",
    )


def _torchode(adjoint: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    stepper = {"dopri5": "Dopri5", "tsit5": "Tsit5", "heun": "Heun", "euler": "Euler"}[how["method"]]
    fixed = "step_size" in options
    control = "to.FixedStepController()" if fixed else "to.IntegralController(**how, term=term)"
    made = "to.{}Adjoint({}to.{}(term=term), {})".format(
        adjoint, "" if adjoint == "AutoDiff" else "term, ", stepper, control
    )
    rows = "1" if adjoint == "JointBacksolve" else "len(y0)"
    first = f"torch.full(({rows},), how['step_size'])" if fixed else "None"
    body = ["term = to.ODETerm(lambda t, y: field(t[..., None], y))",
            f"problem = to.InitialValueProblem(y0, t_eval=ts.expand(len(y0), -1)); dt0 = {first}",
            f"return {made}.solve(problem, dt0=dt0).ys.transpose(0, 1)"]  # fmt: skip
    if adjoint != "AutoDiff":  # the adjoints ask the field for its parameters: it has to be a module
        body[0] = "term = to.ODETerm(Rows(field))"
    imports = ["import torchode as to"]
    if adjoint != "AutoDiff":
        imports += ["class Rows(torch.nn.Module):",
                    "    def __init__(self, field): super().__init__(); self.field = field",
                    "    def forward(self, t, y): return self.field(t[..., None], y)"]  # fmt: skip
    kept = {"step_size": options["step_size"]} if fixed else {k: how[k] for k in ("atol", "rtol")}
    return Call(imports, body, ", ".join(f"{k}={text(v)}" for k, v in kept.items()))


def _torchdyn(sensitivity: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    kept = {k: how[k] for k in ("atol", "rtol") if k in how}
    kept |= {f"{k}_adjoint": v for k, v in kept.items()}
    interpolator = "None" if "rtol" not in how or "step_t" in options else "'4th'"
    body = [f"problem = ODEProblem(field, {how['method']!r}, {interpolator}, sensitivity={sensitivity!r}, **how)"]
    if "step_size" not in options:
        return Call(["from torchdyn.core.problems import ODEProblem"],
                    [*body, "seen, states = problem.odeint(y0, ts)",
                     "seen = -seen if ts[-1] < ts[0] and seen[-1] > seen[0] else seen",
                     "return states[(seen.detach()[:, None] - ts.detach()).abs().argmin(0)]"],
                    ", ".join(f"{k}={text(v)}" for k, v in kept.items()))  # fmt: skip
    body[0] = body[0].replace("**how", "").replace(", )", ")")
    return Call(
        ["from torchdyn.core.problems import ODEProblem"],
        [*body, "n = [max(1, int(torch.ceil((b - a).abs() / how['step_size'] - 1e-9))) for a, b in zip(ts, ts[1:])]",
         "grid = torch.cat([ts[:1], *(a + (b - a) * torch.arange(1, k + 1) / k for a, b, k in zip(ts, ts[1:], n))])",
         "return problem.odeint(y0, grid)[1][[0, *np.cumsum(n)]]"],
        f"step_size={text(options['step_size'])}")  # fmt: skip
