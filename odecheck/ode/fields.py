"""Vector fields as pure functions of (time, state, parameters), and the fields that derivatives obey.

The tangent of an ODE is an ODE, its adjoint is an ODE, and a batch of ODEs is an ODE. So each of `Tangent`,
`Adjoint` and `Batched` takes a field and is a field again, and they nest to any depth.

Every field can be evaluated in two ways that give the same numbers:

- `field(t, y, p)` uses torch.func alone: it can be transformed by anything, at the price of torch.func's overhead;
- `with field.fixed(p) as rates: rates(t, y)` is what a solver calls, thousands of times, with plain tensors,
  gradients off and parameters that stay the same. Reverse derivatives are one `torch.autograd.grad`, forward
  derivatives are dual numbers: half the cost.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor
from torch.autograd import forward_ad

from odecheck.compat import (
    forward_mode,
    interpreter,
    is_batched,
    is_forward_mode,
    is_transforming,
    is_wrapped,
    level_of,
    unwrapped,
)

Leaves = Sequence[Tensor]
Rates = Callable[[Tensor, Leaves], tuple[Tensor, ...]]


class Field:
    """The rates of `states` tensors, followed by the rates of quadratures, which no rate depends on.

    Attributes:
        states: number of state tensors.
        quadratures: shapes of the tensors q with q' = g(t, y, p) and q(t0) = 0.
        batch: for every state and quadrature, how many leading axes number independent samples. A solver
            controls the error of the worst sample, so that a sample's accuracy does not depend on its company.
        tangents: how many nested `Tangent` there are inside.
    """

    states: int
    quadratures: tuple[torch.Size, ...]
    batch: tuple[int, ...]
    tangents: int

    def __call__(self, t: Tensor, y: Leaves, p: Leaves) -> tuple[Tensor, ...]:
        raise NotImplementedError

    @contextmanager
    def fixed(self, p: Leaves) -> Iterator[Rates]:
        yield lambda t, y: self(t, y, p)

    def refuse_changed(self) -> None:
        """Raise if the field is another one than when the solve was made: its derivative would be of that one."""
        base: Field | None = getattr(self, "base", None)
        if base is not None:
            base.refuse_changed()


class Tangent(Field):
    """y' = F, dy' = F_y dy + F_p dp, and the same for quadratures.

    States (y, dy); parameters (p, dp), where dp has one tensor for each index in `moving`; the rates come as
    (y', dy', q', dq').
    """

    def __init__(self, base: Field, moving: tuple[int, ...]):
        n = base.states
        self.base, self.moving = base, moving
        self.states = 2 * n
        self.quadratures = base.quadratures * 2
        self.batch = base.batch[:n] * 2 + base.batch[n:] * 2
        self.tangents = base.tangents + 1

    def _ordered(self, rates: Leaves, drates: Leaves) -> tuple[Tensor, ...]:
        n = self.base.states
        return (*rates[:n], *drates[:n], *rates[n:], *drates[n:])

    def __call__(self, t, y, p):
        n, (p, dp) = self.base.states, self._halves(p)
        y, dy = list(y[:n]), list(y[n:])

        def rates(y, moved):
            full = list(p)
            for index, value in zip(self.moving, moved, strict=True):
                full[index] = value
            return self.base(t, y, full)

        primals, tangents = (y, [p[i] for i in self.moving]), (dy, dp)
        if not is_forward_mode() or is_transforming():
            return self._ordered(*torch.func.jvp(rates, primals, tangents))
        # torch.func.jvp refuses to run inside a dual_level. The pullback u ↦ Jᵀu is linear; its pullback is J.
        out, pull = torch.func.vjp(rates, *primals)  # pyright: ignore[reportAssignmentType]
        return self._ordered(out, torch.func.vjp(pull, tuple(map(torch.zeros_like, out)))[1](tangents)[0])

    def _halves(self, p: Leaves) -> tuple[list[Tensor], list[Tensor]]:
        total = len(p) - len(self.moving)
        return list(p[:total]), list(p[total:])

    @contextmanager
    def fixed(self, p):
        # There is one level of dual numbers, for one tangent. A caller's own level cannot serve: until it is left it
        # keeps every dual number whose tangent has a graph, and memory would grow with every evaluation.
        if self.base.tangents or is_forward_mode():
            with self._by_transposing_twice(p) as rates:
                yield rates
        else:
            yield lambda t, y: self._by_dual_numbers(t, y, p)

    def _by_dual_numbers(self, t: Tensor, y: Leaves, p: Leaves) -> tuple[Tensor, ...]:
        n, (p, dp) = self.base.states, self._halves(p)
        with forward_ad.dual_level(), forward_mode(True):
            for index, tangent in zip(self.moving, dp, strict=True):
                p[index] = forward_ad.make_dual(p[index], tangent)
            with self.base.fixed(p) as base:
                out = base(t, [forward_ad.make_dual(a, b) for a, b in zip(y[:n], y[n:], strict=True)])
            pairs = [forward_ad.unpack_dual(rate) for rate in out]
            return self._ordered(
                [pair.primal for pair in pairs],
                [torch.zeros_like(q.primal) if q.tangent is None else q.tangent for q in pairs],
            )

    @contextmanager
    def _by_transposing_twice(self, p: Leaves) -> Iterator[Rates]:
        """The tangent by reverse mode alone: u ↦ Jᵀu is linear, and its transpose is J."""
        n, (p, dp) = self.base.states, self._halves(p)
        live_p = any(x.requires_grad for x in (*p, *dp))
        p = _fresh_at(self.moving, p)
        with self.base.fixed(p) as base:

            def rates(t, y):
                live = live_p or any(x.requires_grad for x in y)  # somebody differentiates what we return
                with torch.enable_grad():
                    inputs = [_fresh(x) for x in y[:n]]
                    out = base(t, inputs)
                with torch.enable_grad(), _tangents_stop_at(self.base):
                    dummies = [torch.zeros_like(r).requires_grad_() for r in out]
                    pulled = vector_jacobian(out, [*inputs, *(p[i] for i in self.moving)], dummies, live=True)
                    pairs = [(g, d) for g, d in zip(pulled, [*y[n:], *dp], strict=True) if g is not None]
                    pushed = vector_jacobian([g for g, _ in pairs], dummies, [d for _, d in pairs], live=live)
                dout = [torch.zeros_like(r) if d is None else d for r, d in zip(out, pushed, strict=True)]
                return self._ordered(out if live else [_without_graph(r) for r in out], dout)

            yield rates


class Adjoint(Field):
    """y' = F, a' = −F_yᵀ a − G_yᵀ b, g' = −F_pᵀ a − G_pᵀ b, where G are the quadratures' rates.

    States (y, a); parameters (b, p), where b are the constant cotangents of the base field's quadratures;
    quadratures g, one for each index in `wanted`.
    """

    def __init__(self, base: Field, p: Leaves, wanted: tuple[int, ...]):
        n = base.states
        self.base, self.wanted = base, wanted
        self.states = 2 * n
        self.quadratures = tuple(p[i].shape for i in wanted)
        self.batch = base.batch[:n] * 2 + (0,) * len(wanted)
        self.tangents = base.tangents
        # Which of `wanted` the field was seen to depend on: a parameter that it never uses gets no gradient at
        # all rather than zeros, on which a weight decay or a momentum would act.
        self.used = [False] * len(wanted)

    def _arguments(self, y: Leaves, p: Leaves):
        n, k = self.base.states, len(self.base.quadratures)
        return list(y[:n]), [-c for c in (*y[n:], *p[:k])], list(p[k:])

    def __call__(self, t, y, p):
        y, cotangents, p = self._arguments(y, p)

        def rates(y, wanted):
            full = list(p)
            for index, value in zip(self.wanted, wanted, strict=True):
                full[index] = value
            return self.base(t, y, full)

        self.used = [True] * len(self.wanted)
        out, pull = torch.func.vjp(rates, y, [p[i] for i in self.wanted])  # pyright: ignore[reportAssignmentType]
        gy, gp = pull(tuple(cotangents))
        return (*out[: self.base.states], *gy, *gp)

    @contextmanager
    def fixed(self, p):
        n, k = self.base.states, len(self.base.quadratures)
        live_p = any(x.requires_grad for x in p)
        b, p = [-x for x in p[:k]], _fresh_at(self.wanted, p[k:])
        wanted = [p[i] for i in self.wanted]
        with self.base.fixed(p) as base:

            def rates(t, y):
                live = live_p or any(x.requires_grad for x in y)  # somebody differentiates what we return
                with torch.enable_grad():
                    inputs = [_fresh(x) for x in y[:n]]
                    out = base(t, inputs)
                with torch.enable_grad(), _tangents_stop_at(self.base):
                    grads = vector_jacobian(out, [*inputs, *wanted], [*(-a for a in y[n:]), *b], live)
                self.used = [seen or g is not None for seen, g in zip(self.used, grads[n:], strict=True)]
                return (
                    *(out[:n] if live else [_without_graph(x) for x in out[:n]]),
                    *(torch.zeros_like(x) if g is None else g for x, g in zip((*inputs, *wanted), grads, strict=True)),
                )

            yield rates


def vector_jacobian(outputs: Leaves, inputs: Leaves, cotangents: Leaves, live: bool) -> list[Tensor | None]:
    """Vector-Jacobian products, with None for an input that no output depends on."""
    pairs = [(out, c) for out, c in zip(outputs, cotangents, strict=True) if out.requires_grad]
    if not pairs:
        return [None] * len(inputs)
    outs, cs = zip(*pairs, strict=True)
    return list(torch.autograd.grad(outs, inputs, cs, allow_unused=True, create_graph=live))


def _tangents_stop_at(base: Field) -> AbstractContextManager:
    """Forward mode off while a tangent's result is differentiated: the dual numbers in its graph are its own."""
    return forward_mode(False) if base.tangents else nullcontext()


def _fresh_at(indices: Sequence[int], p: Leaves) -> list[Tensor]:
    with torch.enable_grad():
        return [_fresh(x) if i in indices else x for i, x in enumerate(p)]


def _fresh(x: Tensor) -> Tensor:
    """An alias of x to differentiate in, with x's own history and tangent if it has any."""
    x = x.view_as(x)
    return x if x.requires_grad else x.requires_grad_()


def _without_graph(x: Tensor) -> Tensor:
    """x without reverse history; its tangent, if x is a dual number, stays (`detach` would drop it)."""
    if not x.requires_grad or not is_forward_mode():
        return x.detach()
    primal, tangent = forward_ad.unpack_dual(x)
    return x.detach() if tangent is None else forward_ad.make_dual(primal.detach(), tangent.detach())


class Batched(Field):
    """Many copies of a field side by side; samples share whatever is not batched.

    States and parameters that are batched carry the batch as their first axis; quadratures always do.
    """

    def __init__(self, base: Field, states: Sequence[bool], params: Sequence[bool], size: int, randomness: str):
        n = base.states
        self.base, self.size, self.randomness = base, size, randomness
        self.states = n
        self.quadratures = tuple(torch.Size((size, *shape)) for shape in base.quadratures)
        self.batch = tuple(
            b + flag for b, flag in zip(base.batch, [*states, *[True] * len(base.quadratures)], strict=True)
        )
        self.tangents = base.tangents
        self.state_axes = tuple(0 if flag else None for flag in states)
        self.param_axes = tuple(0 if flag else None for flag in params)

    def _over(self, call: Callable, y: Leaves, p: Leaves):
        axes = (self.state_axes, self.param_axes)
        return torch.func.vmap(call, axes, randomness=self.randomness)(tuple(y), tuple(p))

    def __call__(self, t, y, p):
        rates = self._over(lambda y, p: tuple(self.base(t, y, p)), y, p)
        # vmap copies what does not depend on the batch; any of the copies will do.
        states = [r if axis == 0 else r[0] for r, axis in zip(rates, self.state_axes, strict=False)]
        return (*states, *rates[self.states :])

    @classmethod
    def spreading(cls, base: Field, t: Tensor, y: Leaves, p: Leaves, states, params, size: int, randomness: str):
        """The batched field in which a state is batched if it starts so or if what drives it is batched."""
        while True:
            field = cls(base, states, params, size, randomness)
            reached = field._reached(t, y, p)
            if reached == list(states):
                return field
            y = [
                x.expand(size, *x.shape) if now and not before else x
                for x, now, before in zip(y, reached, states, strict=True)
            ]
            states = reached

    def _reached(self, t: Tensor, y: Leaves, p: Leaves) -> list[bool]:
        """Which states have a batched rate, or are batched already."""
        reached: list[bool] = []

        def look(y, p):
            rates = tuple(self.base(t, y, p))
            level = interpreter().level()
            reached[:] = [level in batch_levels(x) for x in rates[: self.states]]
            return rates

        self._over(look, y, p)
        return [axis == 0 or now for axis, now in zip(self.state_axes, reached, strict=True)]


def batch_levels(x: Tensor) -> set[int]:
    """The torch.func transforms that x takes part in as a batch."""
    found = set()
    while is_wrapped(x):
        if is_batched(x):
            found.add(level_of(x))
        x = unwrapped(x)
    return found


class Rescaled(Field):
    """The field in s with t = start + s (end − start), the two times being its first parameters."""

    def __init__(self, base: Field):
        self.base = base
        self.states, self.quadratures = base.states, base.quadratures
        self.batch, self.tangents = base.batch, base.tangents

    def __call__(self, t, y, p):
        start, end, *p = p
        return tuple((end - start) * rate for rate in self.base(start + t * (end - start), y, p))

    @contextmanager
    def fixed(self, p):
        start, end, *p = p
        with self.base.fixed(p) as base:
            yield lambda t, y: tuple((end - start) * rate for rate in base(start + t * (end - start), y))
