"""scipy.integrate.solve_ivp: solutions, and no derivatives."""

# pyright: standard
# (scipy comes without types)
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from odecheck.errors import Unsupported
from odecheck.solvers import Adaptive, Solver

from .base import Derivatives, LossFn, on_host
from .library import Asked, Declared, Library
from .script_call import Call, keywords


@dataclass(frozen=True)
class SolveIvp(Adaptive):
    """A method of solve_ivp. BDF and LSODA vary their order and have none to state: 5 and 12 are their highest."""

    METHODS: ClassVar = {"RK23": 3, "RK45": 5, "DOP853": 8, "Radau": 5, "BDF": 5, "LSODA": 12}


def _odeint(module: Any, y0: Any, ts: Tensor, *, method: str, rtol: float, atol: float, options: Any) -> Tensor:
    from scipy.integrate import solve_ivp

    refused = set(options) - {"max_num_steps"}  # scipy has no budget of steps: there is nothing to leave out
    if refused or method not in SolveIvp.METHODS:
        raise Unsupported(f"solve_ivp has no {method} or no option {', '.join(sorted(refused))}")
    if not isinstance(y0, Tensor) or y0.dtype != torch.float64:
        raise Unsupported("solve_ivp computes in double precision, with one array as state")
    on_host("solve_ivp", (y0, ts, *module.parameters()))

    def rate(t: float, y: Any) -> Any:
        with torch.no_grad():
            state = torch.from_numpy(y.copy()).reshape(y0.shape)
            return module(torch.tensor(t, dtype=torch.float64), state).reshape(-1).numpy()

    times = ts.detach().numpy()
    found = solve_ivp(rate, (times[0], times[-1]), y0.detach().numpy().ravel(), method, times, rtol=rtol, atol=atol)
    if not found.success:
        raise RuntimeError(f"solve_ivp stopped: {found.message}")
    return torch.from_numpy(found.y.T.copy()).reshape(len(times), *y0.shape)


@dataclass(frozen=True)
class ScipyEngine:
    """Solves with scipy; there is no gradient to target."""

    name: str = "scipy solve_ivp"
    target: Literal["flow", "steps"] = "flow"

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        return solver.solve(_odeint, module, y0, ts)

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        raise Unsupported("scipy's solve_ivp has no derivatives")


SOLVE_IVP = ScipyEngine()


def asks(release: str, folder: str) -> list[Asked]:
    """All methods of solve_ivp."""
    rtol = {"RK23": 1e-6, "DOP853": 1e-8}
    return [
        Asked(
            SolveIvp(method, rtol=rtol.get(method, 1e-7)),
            SOLVE_IVP,
            "solve_ivp",
            method,
            ("solution", "derivatives", "use") if method == "RK45" else ("solution",),
            brief=True,
        )
        for method in SolveIvp.METHODS
    ]


def script_call(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    """`solve_ivp` of the flat state."""
    body = [
        "rate = lambda t, y: f(t, y.reshape(np.shape(y0)), p).ravel()",
        "run = solve_ivp(rate, (ts[0], ts[-1]), np.ravel(y0), t_eval=ts, **how)",
        "return run.y.T.reshape(-1, *np.shape(y0))",
    ]
    return Call([], body, keywords(how), "numpy")


LIBRARY = Library(
    "scipy",
    "scipy",
    ("1.17.1",),
    asks,
    engines=(Declared(SOLVE_IVP, ("RK45", "DOP853")),),
    adaptive=SolveIvp,
    usual="RK45",
    script_call=script_call,
    order=40,
)
