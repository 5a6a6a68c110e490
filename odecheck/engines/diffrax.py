"""diffrax: its four ways of differentiating a solve, on the jax translation of the field."""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from odecheck.errors import Unsupported
from odecheck.fields.from_jax import jax_double
from odecheck.instruments.metering import Meter, charge
from odecheck.instruments.told import listener
from odecheck.solvers import Adaptive, FixedStep, Solver, orders

from .base import Derivatives, LossFn, on_host
from .diffrax_program import (
    CLASSES,
    EVALUATED,
    NO_TIMES,
    SLOTS,
    Adjoints,
    How,
    arrays,
    closed,
    compiled,
    filled,
    padded,
    tensor_of,
)
from .jax_field import jax_field
from .known_failures import AT_REST, UNSEEN
from .library import Asked, Declared, Known, Library, named
from .script_call import Call, keywords

# evaluations of the field in one step, without those of an implicit method's root finding
STAGES = {
    "dopri5": 6,
    "dopri8": 13,
    "tsit5": 6,
    "bosh3": 3,
    "heun": 2,
    "heun2": 2,
    "euler": 1,
    "midpoint": 2,
    "kvaerno5": 7,
}


@dataclass(frozen=True)
class DiffraxAdaptive(Adaptive):
    """A method of diffrax with its PID controller. land: with `step_ts`; otherwise outputs are interpolated."""

    METHODS: ClassVar = {**orders("dopri5", "dopri8", "tsit5", "bosh3", "heun"), "kvaerno5": 5}


@dataclass(frozen=True)
class DiffraxFixed(FixedStep):
    """A method of diffrax with steps of one length, the last of which is cut."""

    METHODS: ClassVar = orders("euler", "heun2", "midpoint")


@dataclass(frozen=True)
class DiffraxEngine:
    """diffeqsolve with one of its adjoints; the loss itself is differentiated by torch."""

    name: str
    target: Literal["flow", "steps"]
    adjoint: Adjoints

    def _program(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> tuple[Any, How, list[Any]]:
        """The field, what its solve is compiled for, and the arguments of that: y0, params, ts, fine."""
        found: list[Any] = []

        def solve(inner: Any, start: Any, times: Tensor, *, method: str, options: Any, **tolerances: float) -> Tensor:
            jumps = options.get("jump_t", torch.zeros(0))
            refused = set(options) - {"max_num_steps", "step_t", "step_size", "interp", "jump_t"}
            if method not in CLASSES or refused or options.get("interp") == "cubic":
                raise Unsupported(f"diffrax has no {method} or no such option as {', '.join(sorted(options))}")
            if not tolerances and "step_size" not in options:
                raise Unsupported("steps that are given one by one are not asked of diffrax")
            on_host("diffrax", (start, times, *inner.parameters()))
            jax_double()
            how = How(method, self.adjoint, not tolerances, "step_t" in options, tuple(jumps.tolist()))
            sign = float(torch.sign(times[-1] - times[0]))
            fine = dict(tolerances) if tolerances else {"step": sign * options["step_size"]}
            y, t, *params = arrays(start, padded(times), *inner.parameters())
            found.extend([jax_field(inner, start), how, [y, params, t, fine]])
            return start

        solver.solve(solve, module, y0.detach(), ts.detach())
        return found[0], found[1], found[2]

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        """As `Engine.solution`."""
        field, how, given = self._program(module, solver, y0, ts)
        states, steps = compiled(field, how, "states")(*given)
        self._tell(how, steps, len(y0), lambda counting: compiled(field, counting, "states")(*given))
        return tensor_of(states)[: len(ts)]

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        """As `Engine.gradient`."""
        field, how, given = self._program(module, solver, y0, ts)
        found, steps, pull = compiled(field, how, "open")(*given)
        states = tensor_of(found)[: len(ts)].requires_grad_()
        cotangent = filled(torch.autograd.grad(loss(states), states)[0], len(given[2]))
        of_y0, of_params, *of_ts = closed()(pull, cotangent)
        self._tell(
            how,
            steps,
            len(y0),
            lambda counting: compiled(field, counting, "open")(*given),
            lambda opened: closed()(opened[2], cotangent),
        )
        flat = [tensor_of(g).reshape(-1) for g in of_params]
        none = "" if of_ts else NO_TIMES
        times = tensor_of(of_ts[0]) if of_ts else torch.zeros(len(given[2]), dtype=torch.float64)
        last = times[len(ts) - 1 :].sum()[None]  # the times that were filled up are all the last one
        return Derivatives(
            tensor_of(of_y0), torch.cat([y0.new_zeros(0), *flat]), torch.cat([times[: len(ts) - 1], last]), none
        )

    def product(
        self,
        module: nn.Module,
        solver: Solver,
        y0: Tensor,
        ts: Tensor,
        loss: LossFn,
        of_y0: Tensor,
        of_params: list[Tensor],
    ) -> list[Tensor]:
        """As `ProductEngine.product`, by forward mode over reverse mode.

        Two programs, since the loss is torch's: the states and their tangent give the loss's cotangent and its tangent,
        with which the derivatives are differentiated once more.

        Raises:
            Unsupported: another adjoint than DirectAdjoint, which alone is made of operations that jax differentiates
                both ways.
        """
        if self.adjoint != "DirectAdjoint":
            raise Unsupported(f"{self.name} cannot be differentiated twice; DirectAdjoint can")
        field, how, given = self._program(module, solver, y0, ts)
        along = arrays(of_y0)[0], arrays(*of_params)
        found, tangent, steps = compiled(field, how, "pushed")(*given, along)
        states, moves = tensor_of(found)[: len(ts)].requires_grad_(), tensor_of(tangent)[: len(ts)]
        (slope,) = torch.autograd.grad(loss(states), states, create_graph=True)
        curved = torch.zeros_like(moves)
        if slope.requires_grad:
            (curved,) = torch.autograd.grad(slope, states, moves, materialize_grads=True)
        rest = along, filled(slope, len(given[2])), filled(curved, len(given[2]))
        second_y0, second_params = compiled(field, how, "product")(*given, *rest)
        self._tell(
            how,
            steps,
            len(y0),
            lambda counting: compiled(field, counting, "pushed")(*given, along),
            lambda _: compiled(field, replace(how, counting=True), "product")(*given, *rest),
        )
        return [tensor_of(second_y0), *(tensor_of(part) for part in second_params)]

    def _tell(self, how: How, steps: Any, batch: int, *stages: Callable[[Any], Any]) -> None:
        """Tell steps as the library counts them, and evaluations where somebody measures.

        The latter are counted by the same programs once more, compiled so that they call back. stages: the forward and
        the backward one, each given the other's result.
        """
        charge(Meter(nfe=int(steps[0]) * STAGES[how.method]))  # jax calls no torch module: steps, times their stages
        told = listener()
        if told is None:
            return
        told.add(accepted_forward=int(steps[1]), rejected_forward=int(steps[0] - steps[1]))
        if self.adjoint != "BacksolveAdjoint" or len(stages) == 1:  # of a solve backwards it does not tell
            told.add(accepted_backward=0, rejected_backward=0)
        found: Any = replace(how, counting=True)
        for direction, stage in zip(("forward", "backward"), (*stages, lambda _: None), strict=False):
            EVALUATED[0] = 0
            found = stage(found)
            jax_double().block_until_ready(found)
            jax_double().effects_barrier()
            told.add(**{f"nfe_{direction}": EVALUATED[0], f"rows_{direction}": EVALUATED[0] * batch})

    def told(self, solver: Solver, jumps: Tensor) -> Solver:
        """As `JumpEngine.told`."""
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
    found = [
        Asked(
            DiffraxAdaptive(method, rtol=rtol.get(method, 1e-7)),
            RECURSIVE,
            "RecursiveCheckpoint",
            method,
            ("solution",),
            brief=True,
        )
        for method in ("dopri8", "tsit5", "bosh3", "kvaerno5")
    ]
    found += [
        Asked(
            DiffraxFixed(method, step=h),
            RECURSIVE,
            "RecursiveCheckpoint",
            f"{method}, fixed step",
            ("solution",),
            brief=True,
        )
        for method, h in (("euler", 0.02), ("heun2", 0.05))
    ]
    found.append(Asked(dopri5, RECURSIVE, "RecursiveCheckpoint", "dopri5", brief=True))
    for name, engine in (("Direct", DIRECT), ("Backsolve", BACKSOLVE), ("ForwardMode", FORWARD)):
        found.append(Asked(dopri5, engine, name, "dopri5", ("derivatives", "use"), brief=True))
    return found


KNOWN: tuple[Known, ...] = named(
    Known(
        UNSEEN, claims=("DER-7", "DER-17"), engines=("RecursiveCheckpoint", "Direct", "ForwardMode"), problems=AT_REST
    ),
    Known(
        "outputs between steps come from a Hermite interpolant of degree three, two orders below the steps, so the "
        "error falls as tolerance^(2/3)",
        claims=("SOL-5",),
        methods=("kvaerno5",),
    ),
)


def script_call(name: str, how: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    """`diffeqsolve` with the engine's adjoint."""
    adjoint = name.removeprefix("diffrax ")
    adjoint += "" if adjoint == "ForwardMode" else "Adjoint"
    adaptive = "rtol" in how
    body = ["control = dx.PIDController(**how)" if adaptive else "control = dx.ConstantStepSize()"]
    if "step_t" in options or "jump_t" in options:
        jumps = options["jump_t"].tolist() if "jump_t" in options else None
        given = f"step_ts={'ts' if 'step_t' in options else None}, jump_ts={jumps and f'jnp.array({jumps})'}"
        body.append(f"control = dx.ClipStepSizeController(control, {given})")
    dt0 = "None" if adaptive else "how['step_size'] * jnp.sign(ts[-1] - ts[0])"
    slots = 2048 if adjoint == "DirectAdjoint" else SLOTS
    body += [
        f"made = dict(stepsize_controller=control, adjoint=dx.{adjoint}(), max_steps={slots})",
        f"solver, ends, dt0 = dx.{CLASSES[how['method']]}(), (ts[0], ts[-1]), {dt0}",
        "return dx.diffeqsolve(dx.ODETerm(f), solver, *ends, dt0, y0, p, saveat=dx.SaveAt(ts=ts), **made).ys",
    ]
    kept = {k: how[k] for k in ("rtol", "atol")} if adaptive else {"step_size": options["step_size"]}
    return Call(
        ["import diffrax as dx, jax, jax.numpy as jnp", 'jax.config.update("jax_enable_x64", True)'],
        body,
        keywords(kept),
        "jax",
        differentiate="jax.jacfwd" if adjoint == "ForwardMode" else "jax.grad",
    )


LIBRARY = Library(
    "diffrax",
    "diffrax",
    ("0.7.2",),
    asks,
    KNOWN,
    needs=("jax",),
    engines=(
        Declared(RECURSIVE, ("dopri5", "tsit5")),
        Declared(DIRECT, ("dopri5",)),
        Declared(BACKSOLVE),
        Declared(FORWARD),
    ),
    adaptive=DiffraxAdaptive,
    lands=True,
    script_call=script_call,
    order=60,
)
