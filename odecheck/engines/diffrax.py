"""diffrax: its four ways of differentiating a solve, on the jax translation of the field."""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from odecheck.errors import Unsupported
from odecheck.instruments.metering import Meter, charge
from odecheck.instruments.step_counts import listener
from odecheck.solvers import Adaptive, FixedStep, Solver

from .base import Derivatives, LossFn
from .host import on_host
from .jax_field import JaxField, jax_field
from .library import AT_REST, UNSEEN, Asked, Known, Library, named

Adjoints = Literal["RecursiveCheckpointAdjoint", "DirectAdjoint", "BacksolveAdjoint", "ForwardMode"]
CLASSES = {
    "dopri5": "Dopri5",
    "dopri8": "Dopri8",
    "tsit5": "Tsit5",
    "bosh3": "Bosh3",
    "heun": "Heun",
    "heun2": "Heun",
    "euler": "Euler",
    "midpoint": "Midpoint",
    "kvaerno5": "Kvaerno5",
}
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
    """What a solve is compiled for. counting: with a call back to this process at every evaluation of the field."""

    method: str
    adjoint: Adjoints
    fixed: bool
    lands: bool
    jumps: tuple[float, ...]
    counting: bool = False


@lru_cache(maxsize=1)
def _jax() -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax


_EVALUATED = [0]  # by programs that are compiled for counting


def _evaluated() -> None:
    _EVALUATED[0] += 1


@lru_cache(maxsize=128)
def _compiled(field: JaxField, how: How, wanted: str) -> Any:
    """A program of (y0, params, ts, fine), fine: what steps are chosen by.

    "states": the states (times, batch, state), and the steps, tried and accepted. "open": the same, and what takes a
    cotangent of the states to derivatives in y0, params and ts. "pushed": the states, their tangent in a direction
    (of_y0, of_params), and the steps. "product": the derivatives of cotangent · states in y0 and params, differentiated
    once more in that direction, in which the cotangent moves too.
    """
    jax = _jax()
    import diffrax

    def rate(t: Any, y: Any, args: Any) -> Any:
        if how.counting:
            jax.debug.callback(_evaluated)
        return field(t, y, args)

    def states(y0: Any, params: Any, ts: Any, fine: Any) -> Any:
        term = diffrax.ODETerm(rate)
        if how.fixed:
            dt0, control = fine["step"], diffrax.ConstantStepSize()
        else:
            dt0, control = None, diffrax.PIDController(rtol=fine["rtol"], atol=fine["atol"])
            if how.lands or how.jumps:
                jumps = jax.numpy.asarray(how.jumps) if how.jumps else None
                control = diffrax.ClipStepSizeController(control, step_ts=ts if how.lands else None, jump_ts=jumps)
        adjoint = getattr(diffrax, how.adjoint)()
        solver = getattr(diffrax, CLASSES[how.method])()
        slots = 2048 if how.adjoint == "DirectAdjoint" else SLOTS  # it keeps room for all of them
        found = diffrax.diffeqsolve(
            term,
            solver,
            ts[0],
            ts[-1],
            dt0,
            y0,
            params,
            saveat=diffrax.SaveAt(ts=ts),
            adjoint=adjoint,
            stepsize_controller=control,
            max_steps=slots,
        )
        return found.ys, (found.stats["num_steps"], found.stats["num_accepted_steps"])

    def opened(y0: Any, params: Any, ts: Any, fine: Any) -> Any:
        if how.adjoint == "ForwardMode":

            def twice(y: Any, p: Any, t: Any) -> Any:
                found, steps = states(y, p, t, fine)
                return found, (found, steps)

            tangents, (found, steps) = jax.jacfwd(twice, argnums=(0, 1, 2), has_aux=True)(y0, params, ts)
            return found, steps, jax.tree_util.Partial(_contracted, tangents)
        if how.adjoint == "BacksolveAdjoint":  # it refuses derivatives in times
            found, pull, steps = jax.vjp(lambda y, p: states(y, p, ts, fine), y0, params, has_aux=True)
            return found, steps, pull
        found, pull, steps = jax.vjp(lambda y, p, t: states(y, p, t, fine), y0, params, ts, has_aux=True)
        return found, steps, pull

    def pushed(y0: Any, params: Any, ts: Any, fine: Any, along: Any) -> Any:
        return jax.jvp(lambda y, p: states(y, p, ts, fine), (y0, params), along, has_aux=True)

    def product(y0: Any, params: Any, ts: Any, fine: Any, along: Any, cotangent: Any, moved: Any) -> Any:
        def slopes(y: Any, p: Any, c: Any) -> Any:
            return jax.vjp(lambda a, b: states(a, b, ts, fine)[0], y, p)[1](c)

        return jax.jvp(slopes, (y0, params, cotangent), (*along, moved))[1]

    return jax.jit({"states": states, "open": opened, "pushed": pushed, "product": product}[wanted])


def _contracted(tangents: Any, cotangent: Any) -> Any:
    jax = _jax()
    return jax.tree.map(lambda j: jax.numpy.tensordot(cotangent, j, cotangent.ndim), tangents)


@lru_cache(maxsize=1)
def _closed() -> Any:
    return _jax().jit(lambda pull, cotangent: pull(cotangent))


def _arrays(*tensors: Tensor) -> list[Any]:
    return [_jax().numpy.asarray(x.detach().numpy()) for x in tensors]


def _padded(times: Tensor) -> Tensor:
    """The times, the last one repeated: programs are compiled for 8, 24, … times and not for every number of them."""
    slots = next(n for n in (8, 24, 128, 2048, 2**20) if n >= len(times))
    return torch.cat([times, times[-1:].expand(slots - len(times))])


def _filled(of_states: Tensor, slots: int) -> Any:
    """Zeros at the times that were filled up."""
    return _arrays(torch.cat([of_states, of_states.new_zeros(slots - len(of_states), *of_states.shape[1:])]))[0]


def _tensor(array: Any) -> Tensor:
    import numpy as np

    return torch.from_numpy(np.array(array, dtype=np.float64))


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
            _jax()
            how = How(method, self.adjoint, not tolerances, "step_t" in options, tuple(jumps.tolist()))
            sign = float(torch.sign(times[-1] - times[0]))
            fine = dict(tolerances) if tolerances else {"step": sign * options["step_size"]}
            y, t, *params = _arrays(start, _padded(times), *inner.parameters())
            found.extend([jax_field(inner, start), how, [y, params, t, fine]])
            return start

        solver.solve(solve, module, y0.detach(), ts.detach())
        return found[0], found[1], found[2]

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        field, how, given = self._program(module, solver, y0, ts)
        states, steps = _compiled(field, how, "states")(*given)
        self._tell(how, steps, len(y0), lambda counting: _compiled(field, counting, "states")(*given))
        return _tensor(states)[: len(ts)]

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        field, how, given = self._program(module, solver, y0, ts)
        found, steps, pull = _compiled(field, how, "open")(*given)
        states = _tensor(found)[: len(ts)].requires_grad_()
        cotangent = _filled(torch.autograd.grad(loss(states), states)[0], len(given[2]))
        of_y0, of_params, *of_ts = _closed()(pull, cotangent)
        self._tell(
            how,
            steps,
            len(y0),
            lambda counting: _compiled(field, counting, "open")(*given),
            lambda opened: _closed()(opened[2], cotangent),
        )
        flat = [_tensor(g).reshape(-1) for g in of_params]
        none = "" if of_ts else "diffrax's BacksolveAdjoint refuses derivatives in times"
        times = _tensor(of_ts[0]) if of_ts else torch.zeros(len(given[2]), dtype=torch.float64)
        last = times[len(ts) - 1 :].sum()[None]  # the times that were filled up are all the last one
        return Derivatives(
            _tensor(of_y0), torch.cat([y0.new_zeros(0), *flat]), torch.cat([times[: len(ts) - 1], last]), none
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
        """The Hessian of loss(solution) in y0 and the parameters times a direction: forward over reverse.

        Two programs, since the loss is torch's: the states and their tangent give the loss's cotangent and its tangent,
        with which the derivatives are differentiated once more. Only DirectAdjoint is made of operations that jax
        differentiates both ways; Unsupported is raised for others.
        """
        if self.adjoint != "DirectAdjoint":
            raise Unsupported(f"{self.name} cannot be differentiated twice; DirectAdjoint can")
        field, how, given = self._program(module, solver, y0, ts)
        along = _arrays(of_y0)[0], _arrays(*of_params)
        found, tangent, steps = _compiled(field, how, "pushed")(*given, along)
        states, moves = _tensor(found)[: len(ts)].requires_grad_(), _tensor(tangent)[: len(ts)]
        (slope,) = torch.autograd.grad(loss(states), states, create_graph=True)
        curved = torch.zeros_like(moves)
        if slope.requires_grad:
            (curved,) = torch.autograd.grad(slope, states, moves, materialize_grads=True)
        rest = along, _filled(slope, len(given[2])), _filled(curved, len(given[2]))
        second_y0, second_params = _compiled(field, how, "product")(*given, *rest)
        self._tell(
            how,
            steps,
            len(y0),
            lambda counting: _compiled(field, counting, "pushed")(*given, along),
            lambda _: _compiled(field, replace(how, counting=True), "product")(*given, *rest),
        )
        return [_tensor(second_y0), *(_tensor(part) for part in second_params)]

    def _tell(self, how: How, steps: Any, batch: int, *stages: Callable[[Any], Any]) -> None:
        """Steps as the library counts them; evaluations, where somebody measures, by the same programs once more,
        compiled so that they call back. stages: the forward and the backward one, each given the other's result."""
        charge(Meter(nfe=int(steps[0]) * STAGES[how.method]))  # jax calls no torch module: steps, times their stages
        told = listener()
        if told is None:
            return
        told.add(accepted_forward=int(steps[1]), rejected_forward=int(steps[0] - steps[1]))
        if self.adjoint != "BacksolveAdjoint" or len(stages) == 1:  # of a solve backwards it does not tell
            told.add(accepted_backward=0, rejected_backward=0)
        found: Any = replace(how, counting=True)
        for direction, stage in zip(("forward", "backward"), (*stages, lambda _: None), strict=False):
            _EVALUATED[0] = 0
            found = stage(found)
            _jax().block_until_ready(found)
            _jax().effects_barrier()
            told.add(**{f"nfe_{direction}": _EVALUATED[0], f"rows_{direction}": _EVALUATED[0] * batch})

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

LIBRARY = Library("diffrax", "diffrax", ("0.7.2",), asks, KNOWN, needs=("jax",))
