"""One solve, closed under differentiation: its derivatives are solves of the same kind.

Sources: L. Pontryagin's adjoint as used by Chen et al., "Neural Ordinary Differential Equations",
arXiv:1806.07366 (the adjoint method and gradients in the times); Liu, Chen, Theodorou, "Second-Order Neural ODE
Optimizer", arXiv:2109.14158 (backward equations of higher order).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from odecheck.compat import forward_mode

from .fields import Adjoint, Batched, Field, Leaves, Rates, Tangent
from .stepping import Pace, Steps, integrate
from .user_field import UserField


@dataclass(frozen=True)
class Flow:
    """A field with the way to step it forwards, and the way to step its adjoint.

    Attributes:
        field: the field that is solved.
        forward: how it is stepped.
        backward: how its adjoint is stepped.
        pace: the step that its solves begin with, shared with those of its derivatives.
        known: states and quadratures at the times, where they have been solved for already.
    """

    field: Field
    forward: Steps
    backward: Steps
    pace: Pace = dataclass_field(default_factory=Pace)
    known: Leaves | None = None

    def along(self, t: Tensor, y: Leaves, p: Leaves) -> tuple[Tensor, ...]:
        """Solve from y at t[0].

        Args:
            t: (times,), strictly monotone.
            y: the states at t[0].
            p: the parameters.

        Returns:
            States and quadratures, each with the times as its first axis.

        Raises:
            SolveError: the solver gave up.
        """
        return _Solve.apply(self, t, *y, *p)  # pyright: ignore[reportReturnType]

    def tangent(self, moving: tuple[int, ...]) -> "Flow":
        """The flow of (y, dy), where the parameters of these indices move too."""
        return Flow(Tangent(self.field, moving), self.forward, self.backward, self.pace)

    def adjoint(self, p: Leaves, wanted: tuple[int, ...]) -> "Flow":
        """The flow of (y, a) backwards, with the gradients in the parameters of these indices as quadratures."""
        return Flow(Adjoint(self.field, p, wanted), self.backward, self.backward, self.pace)


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(flow: Flow, t: Tensor, *tensors: Tensor) -> Any:
        if flow.known is not None:
            return tuple(x.clone() for x in flow.known)
        n = flow.field.states
        return integrate(flow.field, t, tensors[:n], tensors[n:], flow.forward, flow.pace)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        ctx.flow, t, *tensors = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(t, *tensors, *output)
        ctx.save_for_forward(t, *tensors, *output)
        ctx.inputs = len(tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
        n = ctx.flow.field.states
        t, *rest = ctx.saved_tensors
        ctx.flow.field.refuse_changed()
        p, outputs = rest[n : ctx.inputs], rest[ctx.inputs :]
        needs = ctx.needs_input_grad[1:]
        wanted = tuple(i for i in range(len(p)) if needs[1 + n + i])
        filled = [torch.zeros_like(y) if g is None else g for g, y in zip(cotangents, outputs, strict=True)]
        gt, gy, gp = _pull_back(ctx.flow, t, outputs, filled, p, wanted, needs[0])
        spread = dict(zip(wanted, gp, strict=True))
        return (None, gt, *gy, *(spread.get(i) for i in range(len(p))))

    @staticmethod
    def jvp(ctx: Any, _: None, dt: Tensor | None, *dtensors: Tensor | None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        # torch calls this with forward mode switched off, at every level: the tangents of an enclosing jvp would
        # silently be lost. So switch it on, and take this level's own tangents off the saved tensors.
        with forward_mode(True):
            saved = [forward_ad.unpack_dual(x).primal for x in ctx.saved_tensors]
            return _push_forward(ctx.flow, saved[0], saved[1 : 1 + ctx.inputs], saved[1 + ctx.inputs :], dt, dtensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, flow: Flow, t: Tensor, *tensors: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        tensors = tuple(x if d is None else x.movedim(d, 0) for x, d in zip(tensors, in_dims[2:], strict=True))
        batched = [d is not None for d in in_dims[2:]]
        n, size = flow.field.states, info.batch_size
        if in_dims[1] is not None:
            axes = (in_dims[1], *(0 if b else None for b in batched))
            out = torch.func.vmap(
                lambda t, *xs: _in_own_time(flow, t, xs[:n], xs[n:]), axes, randomness=info.randomness
            )(t, *tensors)
            return out, (0,) * len(out)
        y, p = tensors[:n], tensors[n:]
        field = Batched.spreading(flow.field, t[0], y, p, batched[:n], batched[n:], size, info.randomness)
        y = [
            x if b or axis is None else x.expand(size, *x.shape)
            for x, b, axis in zip(y, batched, field.state_axes, strict=False)
        ]
        out = Flow(field, flow.forward, flow.backward, flow.pace).along(t, y, p)
        axes = [*field.state_axes, *[0] * len(field.quadratures)]
        return out, tuple(None if axis is None else 1 for axis in axes)


def _pull_back(flow: Flow, t: Tensor, outputs: Leaves, cotangents: Leaves, p: Leaves, wanted, times_too: bool):
    """Cotangents of t, of the state at t[0] and of the wanted parameters.

    Solves the adjoint from each time to the one before, and adds the cotangent of each observation where it was
    made. dL/dt_i = g_i·F(t_i, y_i), and dL/dt_0 = −a(t_0)·F(t_0, y_0).
    """
    n = flow.field.states
    adjoint = flow.adjoint(p, wanted)
    a = [g[-1] for g in cotangents[:n]]
    b = [g[-1] for g in cotangents[n:]]
    gp: list[Any] = [None] * len(wanted)
    for i in range(len(t) - 1, 0, -1):
        out = adjoint.along(t[[i, i - 1]], [*(y[i] for y in outputs[:n]), *a], [*b, *p])
        a = [x[-1] for x in out[n : 2 * n]]
        gp = [x[-1] if g is None else g + x[-1] for g, x in zip(gp, out[2 * n :], strict=True)]
        if i > 1:
            a = [x + g[i - 1] for x, g in zip(a, cotangents, strict=False)]
            b = [x + g[i - 1] for x, g in zip(b, cotangents[n:], strict=True)]
    gt = None
    if times_too:
        rates = _rates_at(flow.field, t, outputs, p)
        later = sum((g * r).reshape(len(t), -1).sum(1)[1:] for g, r in zip(cotangents, rates, strict=True))
        first = sum((x * r[0]).sum() for x, r in zip([*a, *b], rates, strict=True))
        gt = torch.cat([-first.reshape(1), later]).to(t.dtype)  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    a = [x + g[0] for x, g in zip(a, cotangents, strict=False)]
    zeros = isinstance(flow.field, UserField) and flow.field.zeros
    seen = adjoint.field.used  # pyright: ignore[reportAttributeAccessIssue]
    return gt, a, [g if used or zeros else None for g, used in zip(gp, seen, strict=True)]


def _push_forward(flow: Flow, t: Tensor, inputs: Leaves, outputs: Leaves, dt: Tensor | None, dinputs):
    """Tangents of states and quadratures at all times; an observation made at t_i moves with F(t_i, y_i) dt_i."""
    n, k = flow.field.states, len(flow.field.quadratures)
    y, p = inputs[:n], inputs[n:]
    moving = tuple(i for i, d in enumerate(dinputs[n:]) if d is not None)
    dy = [torch.zeros_like(x) if d is None else d for x, d in zip(y, dinputs, strict=False)]
    rates = []
    if dt is not None:
        dt = dt.to(outputs[0].dtype)
        rates = _rates_at(flow.field, t, outputs, p)
        dy = [d - r[0] * dt[0] for d, r in zip(dy, rates, strict=False)]
    out = flow.tangent(moving).along(t, [*y, *dy], [*p, *(dinputs[n + i] for i in moving)])
    tangents = [*out[n : 2 * n], *out[2 * n + k :]]
    if dt is None:
        return tuple(tangents)
    moved = [x + r * dt.reshape(-1, *[1] * (r.dim() - 1)) for x, r in zip(tangents, rates, strict=True)]
    return (*moved[:n], *(x - r[0] * dt[0] for x, r in zip(moved[n:], rates[n:], strict=True)))


def _rates_at(field: Field, t: Tensor, outputs: Leaves, p: Leaves) -> list[Tensor]:
    """The field's rates at every time of a solution, as a differentiable function of all arguments."""
    n = field.states
    rates = [field(t[i], [y[i] for y in outputs[:n]], p) for i in range(len(t))]
    return [torch.stack(column) for column in zip(*rates, strict=True)]


class Rescaled(Field):
    """The field in s with t = start + s (end − start), the two times being its first parameters."""

    def __init__(self, base: Field):
        self.base = base
        self.states, self.quadratures = base.states, base.quadratures
        self.batch, self.tangents = base.batch, base.tangents

    def __call__(self, t: Tensor, y: Leaves, p: Leaves) -> tuple[Tensor, ...]:
        """The rates in s; the first two parameters are start and end."""
        start, end, *p = p
        return tuple((end - start) * rate for rate in self.base(start + t * (end - start), y, p))

    @contextmanager
    def fixed(self, p: Leaves) -> Iterator[Rates]:
        """As `Field.fixed`."""
        start, end, *p = p
        with self.base.fixed(p) as base:
            yield lambda t, y: tuple((end - start) * rate for rate in base(start + t * (end - start), y))


def _in_own_time(flow: Flow, t: Tensor, y: Leaves, p: Leaves) -> tuple[Tensor, ...]:
    """Solve with every stretch between two times mapped to [0, 1], so that samples can have times of their own."""
    t = t.to(y[0].dtype)
    unit = torch.tensor([0.0, 1.0], dtype=t.dtype, device=t.device)
    scaled = Flow(Rescaled(flow.field), flow.forward, flow.backward)
    n = flow.field.states
    kept = [[*y, *(y[0].new_zeros(shape) for shape in flow.field.quadratures)]]
    for i in range(1, len(t)):
        out = [x[-1] for x in scaled.along(unit, kept[-1][:n], [t[i - 1], t[i], *p])]
        kept.append(out[:n] + [q + x for q, x in zip(kept[-1][n:], out[n:], strict=True)])
    return tuple(torch.stack(column) for column in zip(*kept, strict=True))
