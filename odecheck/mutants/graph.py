"""Wrong solutions in a graph: parameters, precision, forms of the state, second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.claim import Mutant

from .base import wrong_engine


class _Leave(torch.autograd.Function):
    """The identity, that gives chosen tensors a gradient of its own making: give(tensor) → gradient."""

    @staticmethod
    def forward(ctx: Any, give: Any, states: Tensor, *tensors: Tensor) -> Tensor:
        ctx.give, ctx.tensors = give, tensors
        return states.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        for x in ctx.tensors:
            ctx.give(x)
        return None, grads[0], *(None for _ in ctx.tensors)


def _solve(engine: Any, module: Any, solver: Any, y0: Any, ts: Tensor) -> Any:
    return engine.attached(module, solver, y0, ts)


def _frozen_gets_zero(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    def give(p: Tensor) -> None:
        p.grad = torch.zeros_like(p)

    frozen = [p for p in module.parameters() if not p.requires_grad]
    return _Leave.apply(give, _solve(engine, module, solver, y0, ts), *frozen)  # pyright: ignore[reportReturnType]


FROZEN_GETS_ZERO = wrong_engine("a frozen parameter gets zero, not none", attached=_frozen_gets_zero)


class _Detached(nn.Module):
    """A field of which the first trainable parameter is taken as a constant."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.name = next(name for name, p in inner.named_parameters() if p.requires_grad)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        value = attrgetter(self.name)(self.inner)  # an engine may put tensors in the place of parameters
        return torch.func.functional_call(self.inner, {self.name: value.detach()}, (t, y))


def _loses_one(when: Callable[[nn.Module], bool]) -> Callable[..., Tensor]:
    def attached(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
        return engine.attached(_Detached(module) if when(module) else module, solver, y0, ts)

    return attached


def _has_frozen(module: nn.Module) -> bool:
    return any(not p.requires_grad for p in module.parameters())


def _spare(module: nn.Module) -> Tensor:
    return module.get_parameter("spare")


FROZEN_STOPS_OTHERS = wrong_engine(
    "beside a frozen parameter the next one gets nothing", attached=_loses_one(_has_frozen)
)


def _unused_gets_ones(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    def give(p: Tensor) -> None:
        p.grad = 1e-2 * torch.ones_like(p)

    return _Leave.apply(give, _solve(engine, module, solver, y0, ts), _spare(module))  # pyright: ignore[reportReturnType]


UNUSED_GETS_ONES = wrong_engine("an unused parameter gets a gradient", attached=_unused_gets_ones)


def _unused_stops_others(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    return engine.attached(_Detached(module.inner), solver, y0, ts)


UNUSED_STOPS_OTHERS = wrong_engine("beside an unused parameter another gets nothing", attached=_unused_stops_others)


class _OnceOnly(nn.Module):
    """A field that is used in two places, of which the second is not differentiated in the parameters."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        constants = {name: p.detach() for name, p in self.inner.first.named_parameters()}
        second = torch.func.functional_call(self.inner.first, constants, (t, y))
        return (self.inner.first(t, y) + 3 * second) / 4


SHARED_ONCE = wrong_engine(
    "of a shared parameter one use is differentiated",
    attached=lambda e, m, s, y0, ts: e.attached(_OnceOnly(m), s, y0, ts),
)


class _Again(torch.autograd.Function):
    """The identity, that calls a field once more on the way back, with a state of double precision."""

    @staticmethod
    def forward(ctx: Any, module: Any, t: Tensor, states: Tensor) -> Tensor:
        ctx.module, ctx.at = module, (t, states[-1].detach())
        return states.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        t, y = ctx.at
        ctx.module(t.double(), y.double())
        return None, None, grads[0]


BACKWARD_IN_FLOAT64 = wrong_engine(
    "double precision on the way back",
    attached=lambda e, m, s, y0, ts: _Again.apply(m, ts[-1], e.attached(m, s, y0, ts)),
)


def scaled_states(by: float) -> Mutant:
    """Every state but the first times `by`."""

    def attached(engine: Any, module: Any, solver: Any, y0: Any, ts: Tensor) -> Any:
        states = engine.attached(module, solver, y0, ts)
        factor = torch.cat([ts.new_ones(1), by * ts.new_ones(len(ts) - 1)])
        return _mapped(states, lambda x: x * factor.to(x.real.dtype).reshape(-1, *[1] * (x.dim() - 1)))

    return wrong_engine(f"states times {by:.10g}", attached=attached)


def _mapped(states: Any, change: Callable[[Tensor], Tensor]) -> Any:
    return change(states) if isinstance(states, Tensor) else tuple(change(x) for x in states)


class _Half(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.inner(t, y.to(torch.bfloat16).to(y.dtype)).to(torch.bfloat16).to(y.dtype)


HALF_PRECISION = wrong_engine(
    "half precision inside the field", attached=lambda e, m, s, y0, ts: e.attached(_Half(m), s, y0, ts)
)
STATES_IN_FLOAT64 = wrong_engine(
    "states of another number type", attached=lambda e, m, s, y0, ts: e.attached(m, s, y0, ts).double()
)


def _needs_parameters(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor, loss: Any) -> Any:
    got = engine.gradient(module, solver, y0, ts, loss)
    return got if any(p.requires_grad for p in module.parameters()) else replace(got, y0=torch.zeros_like(got.y0))


NEEDS_PARAMETERS = wrong_engine("without parameters nothing is differentiated", gradient=_needs_parameters)


def _in_float64(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor, loss: Any) -> Any:
    got = engine.gradient(module, solver, y0, ts, loss)
    return replace(got, y0=got.y0.double(), theta=got.theta.double(), ts=got.ts.double())


DERIVATIVES_IN_FLOAT64 = wrong_engine("derivatives of another number type", gradient=_in_float64)

# --- forms of the state ----------------------------------------------------------------------------------------

CONJUGATED = wrong_engine(
    "complex states conjugated", attached=lambda e, m, s, y0, ts: e.attached(m, s, y0, ts).conj().resolve_conj()
)


class _Conjugate(torch.autograd.Function):
    """The identity, whose derivative is conjugated."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        return z.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0].conj()


CONJUGATED_GRADIENT = wrong_engine(
    "the derivative of a complex state conjugated",
    attached=lambda e, m, s, y0, ts: _Conjugate.apply(e.attached(m, s, y0, ts)),
)


def _conjugated_times(engine: Any, module: Any, solver: Any, y0: Any, ts: Tensor) -> Any:
    """In the times alone: the real part of the product in place of that with the conjugate."""
    states = engine.attached(module, solver, y0, ts.detach())
    moving = engine.attached(module, solver, y0.detach(), ts)
    return states + _Conjugate.apply(moving) - moving.detach()


TIMES_CONJUGATED = wrong_engine("dL/dts of complex states without the conjugate", attached=_conjugated_times)
PARTS_DETACHED = wrong_engine(
    "of a tuple the first part alone is differentiated",
    attached=lambda e, m, s, y0, ts: (lambda a, *rest: (a, *(x.detach() for x in rest)))(*e.attached(m, s, y0, ts)),
)

# --- second derivatives ----------------------------------------------------------------------------------------


class _Constant(torch.autograd.Function):
    """Solved and differentiated once, with a derivative that is itself a constant of the graph.

    linear: the derivative still follows the cotangents that it is asked for.
    """

    @staticmethod
    def forward(ctx: Any, solve: Any, linear: bool, *leaves: Tensor) -> Tensor:
        ctx.linear = linear
        with torch.enable_grad():
            fresh = [x.detach().requires_grad_() for x in leaves]
            states = solve(*fresh)
            rows = [torch.autograd.grad(s, fresh, retain_graph=True, allow_unused=True) for s in states.reshape(-1)]
        ctx.columns = [
            torch.stack([torch.zeros_like(x) if r[i] is None else r[i] for r in rows]) for i, x in enumerate(leaves)
        ]
        return states.detach()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        g = grads[0].reshape(-1) if ctx.linear else grads[0].detach().reshape(-1)
        return None, None, *((g @ c.reshape(len(g), -1)).reshape(c.shape[1:]) for c in ctx.columns)


def _constant(linear: bool) -> Callable[..., Tensor]:
    def attached(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
        names = [name for name, p in module.named_parameters() if p.requires_grad]

        def solve(start: Tensor, *values: Tensor) -> Tensor:
            named = dict(zip(names, values, strict=True))
            return engine.attached(_At(module, named), solver, start, ts)

        leaves = [y0, *(p for p in module.parameters() if p.requires_grad)]
        return _Constant.apply(solve, linear, *leaves)  # pyright: ignore[reportReturnType]

    return attached


class _At(nn.Module):
    """A module at other values of its parameters, which are parameters of this one."""

    def __init__(self, inner: nn.Module, named: dict[str, Tensor]) -> None:
        super().__init__()
        self.inner, self.names = [inner], list(named)
        for i, value in enumerate(named.values()):
            self.register_parameter(f"value{i}", _as_parameter(value))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        values = {name: getattr(self, f"value{i}") for i, name in enumerate(self.names)}
        return torch.func.functional_call(self.inner[0], values, (t, y))


def _as_parameter(value: Tensor) -> Any:
    """The same leaf as a parameter, so that derivatives reach it."""
    value.__class__ = nn.Parameter  # type: ignore[assignment]
    return value


ALL_ZERO = wrong_engine("second derivatives are zero", attached=_constant(False))
FIRST_ORDER_ONLY = wrong_engine("second derivatives are those of a linearised flow", attached=_constant(True))


def _bent(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    """Value and first derivative are right at y0; the second derivative has 0.1 too much of each component's own."""
    return engine.attached(module, solver, y0 + 0.05 * (y0 - y0.detach()) * (y0 - y0.detach()), ts)


BENT = wrong_engine("second derivatives with a term too many", attached=_bent)
