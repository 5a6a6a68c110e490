"""diffrax's solves as compiled programs of a field: the states, and their derivatives by its adjoints."""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

from odecheck.fields.from_jax import jax_double

from .jax_field import JaxField

NO_TIMES = "diffrax's BacksolveAdjoint refuses derivatives in times"

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
SLOTS = 2**16


@dataclass(frozen=True)
class How:
    """What a solve is compiled for.

    Attributes:
        method: the name, as of CLASSES.
        adjoint: the name of diffrax's class.
        fixed: whether the steps are of one length.
        lands: whether steps end on the outputs.
        jumps: times at which the field is discontinuous.
        counting: with a call back to this process at every evaluation of the field.
    """

    method: str
    adjoint: Adjoints
    fixed: bool
    lands: bool
    jumps: tuple[float, ...]
    counting: bool = False


EVALUATED = [0]  # by programs that are compiled for counting


def _evaluated() -> None:
    EVALUATED[0] += 1


@lru_cache(maxsize=128)
def compiled(field: JaxField, how: How, wanted: str) -> Any:
    """A program of (y0, params, ts, fine), `fine` being what steps are chosen by.

    "states": the states (times, batch, state), and the steps, tried and accepted. "open": the same, and what takes a
    cotangent of the states to derivatives in y0, params and ts. "pushed": the states, their tangent in a direction
    (of_y0, of_params), and the steps. "product": the derivatives of cotangent · states in y0 and params, differentiated
    once more in that direction, in which the cotangent moves too.
    """
    jax = jax_double()
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
    jax = jax_double()
    return jax.tree.map(lambda j: jax.numpy.tensordot(cotangent, j, cotangent.ndim), tangents)


@lru_cache(maxsize=1)
def closed() -> Any:
    """The program that applies what "open" gave to a cotangent."""
    return jax_double().jit(lambda pull, cotangent: pull(cotangent))


def arrays(*tensors: Tensor) -> list[Any]:
    """Tensors as arrays of jax."""
    return [jax_double().numpy.asarray(x.detach().numpy()) for x in tensors]


def padded(times: Tensor) -> Tensor:
    """The times, the last one repeated: programs are compiled for 8, 24, … times and not for every number of them."""
    slots = next(n for n in (8, 24, 128, 2048, 2**20) if n >= len(times))
    return torch.cat([times, times[-1:].expand(slots - len(times))])


def filled(of_states: Tensor, slots: int) -> Any:
    """Zeros at the times that were filled up."""
    return arrays(torch.cat([of_states, of_states.new_zeros(slots - len(of_states), *of_states.shape[1:])]))[0]


def tensor_of(array: Any) -> Tensor:
    """A copy of a jax array as a tensor of float64."""
    import numpy as np

    return torch.from_numpy(np.array(array, dtype=np.float64))
