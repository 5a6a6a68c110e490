"""Fields that are right in places only, or right in their values with derivatives that are not theirs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .base import around_field, wrong_field


def _without_parameters(inner: nn.Module, t: Tensor, y: Tensor) -> Tensor:
    """The same values, whose derivative in every parameter is zero."""
    held = {name: p.detach() for name, p in inner.named_parameters()}
    return functional_call(inner, held, (t, y)) + 0 * _total(inner)


def _total(inner: nn.Module) -> Tensor:
    return sum((p.sum() for p in inner.parameters()), torch.zeros((), dtype=torch.float64))


def _in_windows(inner: nn.Module, t: Tensor, y: Tensor) -> Tensor:
    return _without_parameters(inner, t, y) if float(t.detach()) * 7 % 1 < 0.2 else inner(t, y)


DETACHED_PARAMETERS = wrong_field("parameters detached", _without_parameters)
DETACHED_IN_WINDOWS = wrong_field("parameters detached in windows of time", _in_windows)
FLOAT32_CLOCK = wrong_field("time in float32", lambda f, t, y: f(t.to(torch.float32).to(t.dtype), y))


class _Backward(torch.autograd.Function):
    """The identity, with a backward pass that is off by a millionth."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * (1 + 1e-6)


def _off_backward(inner: nn.Module, t: Tensor, y: Tensor) -> Tensor:
    value: Any = _Backward.apply(inner(t, y))
    return value


def _off_of_one_row(inner: nn.Module, t: Tensor, y: Tensor) -> Tensor:
    return _off_backward(inner, t, y) if len(y) == 1 else inner(t, y)


def _off_at_constant_times(inner: nn.Module, t: Tensor, y: Tensor) -> Tensor:
    return inner(t, y) if t.requires_grad else _off_backward(inner, t, y)


WRONG_BACKWARD = wrong_field("custom backward off by a millionth", _off_backward)
WRONG_OF_ONE_ROW = wrong_field("custom backward off by a millionth for one row", _off_of_one_row)
WRONG_AT_CONSTANT_TIMES = wrong_field(
    "custom backward off by a millionth where times are constant", _off_at_constant_times
)


class _Forward(torch.autograd.Function):
    """The identity, right backwards, whose forward mode is off by a millionth."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0].clone()

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return tangents[0] * (1 + 1e-6)


def _off_forward(inner: nn.Module, t: Tensor, y: Tensor) -> Tensor:
    value: Any = _Forward.apply(inner(t, y))
    return value


WRONG_FORWARD_MODE = wrong_field("custom forward mode off by a millionth", _off_forward)


class _Opaque(torch.autograd.Function):
    """F, whose backward pass is right and has no derivative itself."""

    @staticmethod
    def forward(ctx: Any, module: nn.Module, t: Tensor, y: Tensor, *params: Tensor) -> Tensor:
        ctx.module, ctx.params = module, params
        ctx.save_for_backward(t, y)
        return module(t, y).detach()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        t, y = (x.detach().requires_grad_() for x in ctx.saved_tensors)
        with torch.enable_grad():
            value = ctx.module(t, y)
            free = [t, y, *(p for p in ctx.params if p.requires_grad)]  # an engine may hold the parameters fixed
            found = list(torch.autograd.grad(value, free, grads[0].detach(), allow_unused=True))
        rest = iter(found[2:])
        return None, found[0], found[1], *(next(rest) if p.requires_grad else None for p in ctx.params)


def _opaque(inner: nn.Module, t: Tensor, y: Tensor) -> Tensor:
    value: Any = _Opaque.apply(inner, t, y, *inner.parameters())
    return value


WITHOUT_SECOND = wrong_field("backward pass without a derivative of its own", _opaque)


class FrozenAtFirstCall(nn.Module):
    """The time of the first call, for ever."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.first: Tensor | None = None

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The value at that time."""
        if self.first is None:
            self.first = t.detach().clone()
        return self.inner(self.first, y) + 0 * t


class CachedParameters(nn.Module):
    """The parameters of the first call, for ever; the true ones keep their place in the graph."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.kept: dict[str, Tensor] = {}

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The value at those parameters."""
        if not self.kept:
            self.kept = {name: p.detach().clone() for name, p in self.inner.named_parameters()}
        return functional_call(self.inner, self.kept, (t, y)) + 0 * _total(self.inner)


class KeptByTime(nn.Module):
    """A value asked for at a time is given again at this time, whatever the state."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.kept: dict[tuple[float, int], Tensor] = {}

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The value that was kept."""
        value = self.inner(t, y)
        kept = self.kept.setdefault((float(t.detach()), len(y)), value.detach().clone())
        return value - value.detach() + kept


class CallOrder(nn.Module):
    """A millionth of the value of the call before."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.before = 0.0

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The value with something of the one before."""
        value = self.inner(t, y)
        before, self.before = self.before, 1e-6 * float(value.detach().sum())
        return value + before


FROZEN_AT_FIRST_CALL = around_field("time of the first call", FrozenAtFirstCall)
CACHED_PARAMETERS = around_field("parameters of the first call", CachedParameters)
KEPT_BY_TIME = around_field("values kept by their time", KeptByTime)
CALL_ORDER = around_field("the call before in the value", CallOrder)
