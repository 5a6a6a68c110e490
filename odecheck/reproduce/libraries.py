"""How a solver library is called, as text: `solve(field, y0, ts, **how)` in as few lines as its users would write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from odecheck.errors import BadInput, Unsupported
from odecheck.solvers import Solver
from odecheck.subject import Subject

# whose fixed-step methods take the times asked for as their steps
OF_ANY_STEPS = ("torchdiffeq", "odecheck", "torchdyn")
Language = Literal["torch", "jax", "numpy"]


@dataclass(frozen=True)
class Call:
    """imports, body: lines, the body of a function `solve`; how: its keywords, as text.

    language: of the vector field; in torch it is solve(field, y0, ts, **how), otherwise solve(y0, p, ts, **how) without
    a module. time: how the field takes the time that the library hands to it. differentiate: the library's function for
    a gradient, where it is not torch's backward().
    """

    imports: list[str]
    body: list[str]
    how: str
    language: Language = "torch"
    time: str = "t"
    differentiate: str = ""

    def states(self, y0: str = "y0", ts: str = "ts", how: str = "") -> str:
        """The text of one solve, of which an array comes back: y0 and ts are texts of arrays."""
        keywords = how or self.how
        if self.language == "torch":
            return f"solve(Field(p), torch.tensor({y0}), torch.tensor({ts}), {keywords}).detach().numpy()"
        if self.language == "jax":
            return f"np.array(solve(jnp.array({y0}), jnp.array(p), jnp.array({ts}), {keywords}))"
        return f"solve({y0}, p, {ts}, {keywords})"


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
        return f"torch.tensor({value.tolist()}, dtype={value.dtype})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {text(v)}" for k, v in value.items()) + "}"
    return f"{value:.6g}" if isinstance(value, float) and float(f"{value:.6g}") == value else repr(value)


def _keywords(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{k}={text(v)}" for k, v in values.items())


def call(subject: Subject, ts: Tensor) -> Call:
    """How the subject's library is called. Raises BadInput for an engine without a text, Unsupported as engines do."""
    how = arguments(subject.solver, ts)
    # what is left out is the library's default, or a budget that is not reached
    options = {k: v for k, v in how.get("options", {}).items() if (k, v) != ("interp", "linear")}
    options.pop("max_num_steps", None)
    name = subject.engine.name
    for begin, make in _LIBRARIES.items():
        if name.startswith(begin):
            if not name.startswith(OF_ANY_STEPS) and "rtol" not in how and "step_size" not in options:
                raise Unsupported(f"{name} takes no steps that are given one by one")
            return make(name, {k: v for k, v in how.items() if k != "options"}, options)
    raise BadInput(
        f"no script is known for {name}",
        "an engine of your own",
        "odecheck show ROW, which runs the case again with odecheck; or a branch in odecheck/reproduce/libraries.py",
    )


def _torchdiffeq(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    plain = {**how, **({"options": options} if options else {})}
    if "seminorm" in name:
        plain["adjoint_options"] = {"norm": "seminorm"}
    function = "odeint_adjoint" if "adjoint" in name else "odeint"
    return Call(
        [f"from torchdiffeq import {function} as odeint"], ["return odeint(field, y0, ts, **how)"], _keywords(plain)
    )


def _odeint(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    plain = {**how, **({"options": options} if options else {})}
    return Call(["from odecheck import odeint"], ["return odeint(field, y0, ts, **how)"], _keywords(plain))


def _discrete(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    plain = {**how, **({"options": options} if options else {})}
    return Call(
        ["from odecheck import discrete"],
        ["return discrete.record(field, y0, ts, **how).solution"],
        _keywords(plain),
        differentiate="discrete.gradient",
    )


def _torchode(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
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
    return Call(["import torchode as to"], body, _keywords(kept), time="t[..., None]")  # a time for each row


def _torchdyn(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
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
            _keywords(kept),
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


def _diffrax(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    from odecheck.engines.diffrax import CLASSES

    adjoint = name.removeprefix("diffrax ")
    adjoint += "" if adjoint == "ForwardMode" else "Adjoint"
    adaptive = "rtol" in how
    body = ["control = dx.PIDController(**how)" if adaptive else "control = dx.ConstantStepSize()"]
    if "step_t" in options or "jump_t" in options:
        jumps = options["jump_t"].tolist() if "jump_t" in options else None
        given = f"step_ts={'ts' if 'step_t' in options else None}, jump_ts={jumps and f'jnp.array({jumps})'}"
        body.append(f"control = dx.ClipStepSizeController(control, {given})")
    dt0 = "None" if adaptive else "how['step_size'] * jnp.sign(ts[-1] - ts[0])"
    slots = 2048 if adjoint == "DirectAdjoint" else 2**16
    body += [
        f"made = dict(stepsize_controller=control, adjoint=dx.{adjoint}(), max_steps={slots})",
        f"solver, ends, dt0 = dx.{CLASSES[how['method']]}(), (ts[0], ts[-1]), {dt0}",
        "return dx.diffeqsolve(dx.ODETerm(f), solver, *ends, dt0, y0, p, saveat=dx.SaveAt(ts=ts), **made).ys",
    ]
    kept = {k: how[k] for k in ("rtol", "atol")} if adaptive else {"step_size": options["step_size"]}
    return Call(
        ["import diffrax as dx, jax, jax.numpy as jnp", 'jax.config.update("jax_enable_x64", True)'],
        body,
        _keywords(kept),
        "jax",
        differentiate="jax.jacfwd" if adjoint == "ForwardMode" else "jax.grad",
    )


def _scipy(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    body = [
        "rate = lambda t, y: f(t, y.reshape(np.shape(y0)), p).ravel()",
        "run = solve_ivp(rate, (ts[0], ts[-1]), np.ravel(y0), t_eval=ts, **how)",
        "return run.y.T.reshape(-1, *np.shape(y0))",
    ]
    return Call([], body, _keywords(how), "numpy")


_LIBRARIES: Mapping[str, Callable[[str, Mapping[str, Any], Mapping[str, Any]], Call]] = {
    "torchdiffeq": _torchdiffeq,
    "odecheck.odeint": _odeint,
    "odecheck.discrete": _discrete,
    "torchode": _torchode,
    "torchdyn": _torchdyn,
    "diffrax": _diffrax,
    "scipy": _scipy,
}
