"""diffrax: its four ways of differentiating a solve, on the jax translation of the field."""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ..solvers import Adaptive, FixedStep, Solver
from ..subject import Meter, charge
from .base import Derivatives, LossFn, Unsupported
from .jax_field import JaxField, jax_field
from .library import UNSEEN, Asked, Known, Library, named

Adjoints = Literal["RecursiveCheckpointAdjoint", "DirectAdjoint", "BacksolveAdjoint", "ForwardMode"]
CLASSES = {"dopri5": "Dopri5", "dopri8": "Dopri8", "tsit5": "Tsit5", "bosh3": "Bosh3", "heun": "Heun", "heun2": "Heun",
           "euler": "Euler", "midpoint": "Midpoint", "kvaerno5": "Kvaerno5"}  # fmt: skip
# evaluations of the field in one step, without those of an implicit method's root finding
STAGES = {"dopri5": 6, "dopri8": 13, "tsit5": 6, "bosh3": 3, "heun": 2, "heun2": 2, "euler": 1, "midpoint": 2,
          "kvaerno5": 7}  # fmt: skip
SLOTS = 2**16


@dataclass(frozen=True)
class DiffraxAdaptive(Adaptive):
    """A method of diffrax with its PID controller. land: with `step_ts`; otherwise outputs are interpolated."""

    METHODS: ClassVar = {"dopri5": 5, "dopri8": 8, "tsit5": 5, "bosh3": 3, "heun": 2, "kvaerno5": 5}


@dataclass(frozen=True)
class DiffraxFixed(FixedStep):
    """A method of diffrax with steps of one length, the last of which is cut."""

    METHODS: ClassVar = {"euler": 1, "heun2": 2, "midpoint": 2}


@dataclass(frozen=True)
class How:
    """What a solve is compiled for."""

    method: str
    adjoint: Adjoints
    fixed: bool
    lands: bool
    jumps: tuple[float, ...]


@lru_cache(maxsize=1)
def _jax() -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax


@lru_cache(maxsize=128)
def _compiled(field: JaxField, how: How, wanted: str) -> Any:
    """The states (times, batch, state) and the number of steps; or the derivatives of cotangent · states."""
    jax = _jax()
    import diffrax

    def states(y0: Any, params: Any, ts: Any, fine: Any) -> Any:
        term = diffrax.ODETerm(lambda t, y, args: field(t, y, args))
        if how.fixed:
            dt0, control = fine["step"], diffrax.ConstantStepSize()
        else:
            dt0, control = None, diffrax.PIDController(rtol=fine["rtol"], atol=fine["atol"])
            if how.lands or how.jumps:
                jumps = jax.numpy.asarray(how.jumps) if how.jumps else None
                control = diffrax.ClipStepSizeController(control, step_ts=ts if how.lands else None, jump_ts=jumps)
        adjoint = getattr(diffrax, how.adjoint)()
        solver = getattr(diffrax, CLASSES[how.method])()
        slots = 4096 if how.adjoint == "DirectAdjoint" else SLOTS  # it keeps room for all of them
        found = diffrax.diffeqsolve(
            term, solver, ts[0], ts[-1], dt0, y0, params, saveat=diffrax.SaveAt(ts=ts), adjoint=adjoint,
            stepsize_controller=control, max_steps=slots,
        )  # fmt: skip
        return found.ys, found.stats["num_steps"]

    def forwards(y0: Any, params: Any, ts: Any, fine: Any, cotangent: Any) -> Any:
        tangents = jax.jacfwd(lambda y, p, t: states(y, p, t, fine)[0], argnums=(0, 1, 2))(y0, params, ts)
        return jax.tree.map(lambda j: jax.numpy.tensordot(cotangent, j, cotangent.ndim), tangents)

    def backwards(y0: Any, params: Any, ts: Any, fine: Any, cotangent: Any) -> Any:
        if how.adjoint == "BacksolveAdjoint":
            _, pull = jax.vjp(lambda y, p: states(y, p, ts, fine)[0], y0, params)
            return *pull(cotangent), jax.numpy.zeros_like(ts)
        _, pull = jax.vjp(lambda y, p, t: states(y, p, t, fine)[0], y0, params, ts)
        return pull(cotangent)

    wished = {"states": states, "gradient": forwards if how.adjoint == "ForwardMode" else backwards}
    return jax.jit(wished[wanted])


def _arrays(*tensors: Tensor) -> list[Any]:
    return [_jax().numpy.asarray(x.detach().numpy()) for x in tensors]


def _padded(times: Tensor) -> Tensor:
    """The times, the last one repeated: programs are compiled for 8, 24, … times and not for every number of them."""
    slots = next(n for n in (8, 24, 128, 2048, 2**20) if n >= len(times))
    return torch.cat([times, times[-1:].expand(slots - len(times))])


def _tensor(array: Any) -> Tensor:
    import numpy as np

    return torch.from_numpy(np.array(array, dtype=np.float64))


@dataclass(frozen=True)
class DiffraxEngine:
    """diffeqsolve with one of its adjoints; the loss itself is differentiated by torch."""

    name: str
    target: Literal["flow", "steps"]
    adjoint: Adjoints

    def _solve(self, wanted: str, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, *more: Tensor) -> Any:
        found: list[Any] = []

        def solve(inner: Any, start: Any, times: Tensor, *, method: str, options: Any, **tolerances: float) -> Tensor:
            jumps = options.get("jump_t", torch.zeros(0))
            refused = set(options) - {"max_num_steps", "step_t", "step_size", "interp", "jump_t"}
            if method not in CLASSES or refused or options.get("interp") == "cubic":
                raise Unsupported(f"diffrax has no {method} or no such option as {', '.join(sorted(options))}")
            if not tolerances and "step_size" not in options:
                raise Unsupported("steps that are given one by one are not asked of diffrax")
            _jax()
            how = How(method, self.adjoint, not tolerances, "step_t" in options, tuple(jumps.tolist()))
            sign = float(torch.sign(times[-1] - times[0]))
            fine = dict(tolerances) if tolerances else {"step": sign * options["step_size"]}
            y, t, *params = _arrays(start, _padded(times), *inner.parameters())
            rest = _arrays(*(torch.cat([m, m.new_zeros(len(t) - len(m), *m.shape[1:])]) for m in more))
            answer = _compiled(jax_field(inner, start), how, wanted)(y, params, t, fine, *rest)
            found.extend([answer, STAGES[method]])
            return start

        solver.solve(solve, module, y0.detach(), ts.detach())
        return found

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        (states, steps), stages = self._solve("states", module, solver, y0, ts)
        charge(Meter(nfe=int(steps) * stages))  # jax calls no torch module: the steps it took, times their stages
        return _tensor(states)[: len(ts)]

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        states = self.solution(module, solver, y0, ts).requires_grad_()
        (cotangent,) = torch.autograd.grad(loss(states), states)
        of_y0, of_params, of_ts = self._solve("gradient", module, solver, y0, ts, cotangent)[0]
        flat = [_tensor(g).reshape(-1) for g in of_params]
        none = "diffrax's BacksolveAdjoint refuses derivatives in times" if self.adjoint == "BacksolveAdjoint" else ""
        times = _tensor(of_ts)
        last = times[len(ts) - 1 :].sum()[None]  # the times that were filled up are all the last one
        return Derivatives(
            _tensor(of_y0), torch.cat([y0.new_zeros(0), *flat]), torch.cat([times[: len(ts) - 1], last]), none
        )

    def told(self, solver: Solver, jumps: Tensor) -> Solver:
        if not isinstance(solver, Adaptive):
            raise Unsupported(f"{solver.name} has no jump_ts")
        return replace(solver, options={**solver.options, "jump_t": jumps})


RECURSIVE = DiffraxEngine("diffrax RecursiveCheckpoint", "steps", "RecursiveCheckpointAdjoint")
DIRECT = DiffraxEngine("diffrax Direct", "steps", "DirectAdjoint")
BACKSOLVE = DiffraxEngine("diffrax Backsolve", "flow", "BacksolveAdjoint")
FORWARD = DiffraxEngine("diffrax ForwardMode", "steps", "ForwardMode")


def asks(release: str, folder: str) -> list[Asked]:
    """Six methods; all four adjoints of one of them. On one problem each, since every shape is compiled anew."""
    dopri5 = DiffraxAdaptive("dopri5", rtol=1e-7)
    rtol = {"dopri8": 1e-9, "bosh3": 1e-6}
    found = [Asked(DiffraxAdaptive(method, rtol=rtol.get(method, 1e-7)), RECURSIVE, "RecursiveCheckpoint", method,
                   ("solution",), brief=True) for method in ("dopri8", "tsit5", "bosh3", "kvaerno5")]  # fmt: skip
    found += [Asked(DiffraxFixed(method, step=h), RECURSIVE, "RecursiveCheckpoint", f"{method}, fixed step",
                    ("solution",), brief=True) for method, h in (("euler", 0.02), ("heun2", 0.05))]  # fmt: skip
    found.append(Asked(dopri5, RECURSIVE, "RecursiveCheckpoint", "dopri5", ("solution", "derivatives"), brief=True))
    for name, engine in (("Direct", DIRECT), ("Backsolve", BACKSOLVE), ("ForwardMode", FORWARD)):
        found.append(Asked(dopri5, engine, name, "dopri5", ("derivatives",), brief=True))
    return found


KNOWN: tuple[Known, ...] = named(
    Known(UNSEEN, claims=("DER-7",), engines=("RecursiveCheckpoint", "Direct", "ForwardMode")),
    Known("outputs between steps come from a Hermite interpolant of degree three, two orders below the steps, so the "
          "error falls as tolerance^(2/3)", claims=("SOL-5",), methods=("kvaerno5",)),
)  # fmt: skip

LIBRARY = Library("diffrax", "diffrax", ("0.7.2",), asks, KNOWN, needs=("jax",))
