"""Wrong solutions in a graph: parameters, precision, forms of the state, second derivatives, events, use."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from .claim import Mutant
from .mutants_conformance import broken


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


FROZEN_GETS_ZERO = broken("a frozen parameter gets zero, not none", wrong_attached=_frozen_gets_zero)


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


FROZEN_STOPS_OTHERS = broken(
    "beside a frozen parameter the next one gets nothing", wrong_attached=_loses_one(_has_frozen)
)


def _unused_gets_ones(engine: Any, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    def give(p: Tensor) -> None:
        p.grad = 1e-2 * torch.ones_like(p)

    return _Leave.apply(give, _solve(engine, module, solver, y0, ts), _spare(module))  # pyright: ignore[reportReturnType]


UNUSED_GETS_ONES = broken("an unused parameter gets a gradient", wrong_attached=_unused_gets_ones)


def _unused_stops_others(engine: Any, module: Any, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    return engine.attached(_Detached(module.inner), solver, y0, ts)


UNUSED_STOPS_OTHERS = broken("beside an unused parameter another gets nothing", wrong_attached=_unused_stops_others)


class _OnceOnly(nn.Module):
    """A field that is used in two places, of which the second is not differentiated in the parameters."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        constants = {name: p.detach() for name, p in self.inner.first.named_parameters()}
        second = torch.func.functional_call(self.inner.first, constants, (t, y))
        return (self.inner.first(t, y) + 3 * second) / 4


SHARED_ONCE = broken(
    "of a shared parameter one use is differentiated",
    wrong_attached=lambda e, m, s, y0, ts: e.attached(_OnceOnly(m), s, y0, ts),
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


BACKWARD_IN_FLOAT64 = broken(
    "double precision on the way back",
    wrong_attached=lambda e, m, s, y0, ts: _Again.apply(m, ts[-1], e.attached(m, s, y0, ts)),
)


def scaled_states(by: float) -> Mutant:
    """Every state but the first times `by`."""

    def attached(engine: Any, module: Any, solver: Any, y0: Any, ts: Tensor) -> Any:
        states = engine.attached(module, solver, y0, ts)
        factor = torch.cat([ts.new_ones(1), by * ts.new_ones(len(ts) - 1)])
        return _mapped(states, lambda x: x * factor.to(x.real.dtype).reshape(-1, *[1] * (x.dim() - 1)))

    return broken(f"states times {by:g}", wrong_attached=attached)


def _mapped(states: Any, change: Callable[[Tensor], Tensor]) -> Any:
    return change(states) if isinstance(states, Tensor) else tuple(change(x) for x in states)


class _Half(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.inner(t, y.to(torch.bfloat16).to(y.dtype)).to(torch.bfloat16).to(y.dtype)


HALF_PRECISION = broken(
    "half precision inside the field", wrong_attached=lambda e, m, s, y0, ts: e.attached(_Half(m), s, y0, ts)
)
STATES_IN_FLOAT64 = broken(
    "states of another number type", wrong_attached=lambda e, m, s, y0, ts: e.attached(m, s, y0, ts).double()
)

# --- forms of the state ----------------------------------------------------------------------------------------

CONJUGATED = broken(
    "complex states conjugated", wrong_attached=lambda e, m, s, y0, ts: e.attached(m, s, y0, ts).conj().resolve_conj()
)


class _Conjugate(torch.autograd.Function):
    """The identity, whose derivative is conjugated."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        return z.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0].conj()


CONJUGATED_GRADIENT = broken(
    "the derivative of a complex state conjugated",
    wrong_attached=lambda e, m, s, y0, ts: _Conjugate.apply(e.attached(m, s, y0, ts)),
)
PARTS_DETACHED = broken(
    "of a tuple the first part alone is differentiated",
    wrong_attached=lambda e, m, s, y0, ts: (lambda a, *rest: (a, *(x.detach() for x in rest)))(
        *e.attached(m, s, y0, ts)
    ),
)
