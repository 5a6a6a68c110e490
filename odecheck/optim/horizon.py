"""Optimisers of the time T at which a solve ends, each used beside any optimiser of the other parameters θ.

With L the loss, Q_T = ∂L/∂T and so on, and the penalty c/2 (T − t0)², which is the published c/2 T² at t0 = 0:

    J(T, θ) = L(T, θ) + c/2 (T − t0)²,    J_T = Q_T + c (T − t0),    J_TT = Q_TT + c.

The expansion of J to second order, minimised over the change of T for a given change of θ, is the feedback policy

    δT = −η (J_T + Q_Tθ δθ) / J_TT:    an open gain, and a feedback through what the optimiser of θ did.

`HorizonFeedback` is the paper's, where Q_TT ≈ Q_T² and Q_Tθ ≈ Q_T Q_θ come from first derivatives; `HorizonNewton`
takes the exact ones; `HorizonDescent` is the baseline of first order, δT = −η J_T.

Source: arXiv:2109.14158, optimising the integration time; the form of the penalty and the averages are those of its
published code. (There the baseline's penalty is multiplied by the sum of the field's components; here it is not.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from odecheck.errors import BadInput

# A step changes T − t0 by this factor at most: the expansion is local, and a time before t0 would turn the solve round.
LARGEST_CHANGE = 2.0

# Of slopes by the same engine, relative to the largest: a fixed grid that is laid out up to T moves other outputs.
APART = 1e-3
# Of an engine's own slope and Φ_y·F, relative and absolute: differentiated steps have their error, and a single coarse
# step of Euler's method the slope of its beginning, which is no reason to refuse it.
DISCRETE, ROUND = 0.4, 1e-6


class HorizonOptimizer(Optimizer):
    """What the three have in common: measure() after the backward pass, step() after the step of θ.

        horizon = HorizonFeedback(T, theta, penalty=0.1)
        loss.backward()
        horizon.measure()
        optimizer.step()
        horizon.step()

    A preconditioner that changes gradients in place comes after measure(). Learning-rate schedulers apply.

    T: the last time, a leaf tensor of shape () that requires a gradient and is not among the parameters of the
        optimiser of θ; the model solves to it, as in odeint(field, y0, torch.stack([t0, T])).
    theta: the other parameters.
    learning_rate: η. penalty: c ≥ 0, in units of the loss per squared time. begin: t0 < T.
    decay: of the running averages of Q_T and Q_TT over the calls of measure(); 0 takes the latest, the published code
        has 0.99 and a step after every hundredth measurement. The feedback always takes the latest.

    Attributes:
        held: whether the last step was cut so that T − t0 changed by no more than `LARGEST_CHANGE`.

    Raises BadInput for arguments that do not fit, a loss that does not depend on T, slopes that are not finite, step()
    without measure(), and a T that somebody else moved.
    """

    def __init__(
        self,
        T: Tensor,
        theta: Iterable[Tensor],
        *,
        learning_rate: float = 1.0,
        penalty: float = 0.0,
        begin: float = 0.0,
        decay: float = 0.0,
    ) -> None:
        self.theta = tuple(p for p in theta if p.requires_grad)
        _check(T, self.theta, learning_rate, penalty, begin, decay)
        self.held = False
        self._measured: _Measured | None = None
        super().__init__([T], {"lr": learning_rate, "penalty": penalty, "begin": begin, "decay": decay})

    @property
    def T(self) -> Tensor:
        return self.param_groups[0]["params"][0]

    def measure(self) -> None:
        """Take Q_T and what else the policy needs, where T and θ are now, and clear T's gradient."""
        self._keep(self._slope())

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move T. It expects that θ has been moved since measure(); without that there is no feedback."""
        if closure is not None:
            raise TypeError("step() takes no closure: call measure() after the backward pass")
        T, seen = self.T, self._measured
        if seen is None:
            raise BadInput("step() without measure()", "a loop without it", "loss.backward(); horizon.measure()")
        if T.item() != seen.T:
            raise BadInput(
                f"T was {seen.T:g} when it was measured and is {T.item():g} now",
                "T is also among the parameters of the other optimiser",
                "optim.SGD([p for p in model.parameters() if p is not T], ...)",
            )
        self._measured = None
        group = self.param_groups[0]
        length = seen.T - group["begin"]
        change = group["lr"] * self._change(seen, length, group["penalty"])
        kept = min(max(change, length / LARGEST_CHANGE - length), (LARGEST_CHANGE - 1) * length)
        self.held = kept != change
        T.add_(kept)

    def _change(self, seen: _Measured, length: float, penalty: float) -> float:
        """δT at a learning rate of 1."""
        raise NotImplementedError

    def _slope(self) -> float:
        grad, self.T.grad = self.T.grad, None
        if grad is None:
            raise BadInput(
                "T has no gradient",
                "times made from a number, or measure() before the backward pass",
                "odeint(field, y0, torch.stack([t0, T])); loss.backward(); horizon.measure()",
            )
        return grad.item()

    def _keep(self, slope: float, curvature: float = 0.0, mixed: tuple[Tensor | None, ...] = ()) -> None:
        if not (math.isfinite(slope) and math.isfinite(curvature)):
            raise BadInput(
                f"Q_T is {slope:g} and Q_TT {curvature:g} at T = {self.T.item():g}",
                "a solution that grew without bound, or a loss that is not finite",
                "a smaller learning_rate, or a larger penalty",
            )
        state, decay = self.state[self.T], self.param_groups[0]["decay"]
        for name, value in (("slope", slope), ("curvature", curvature)):
            state[name] = decay * state[name] + (1 - decay) * value if name in state else value
        pairs = [(p, q.detach()) for p, q in zip(self.theta, mixed, strict=bool(mixed)) if q is not None]
        self._measured = _Measured(
            self.T.item(), state["slope"], state["curvature"], [(p, p.detach().clone(), q.clone()) for p, q in pairs]
        )


class _Measured:
    """Q_T and Q_TT, averaged, at T; and for each parameter itself, its value then, and its part of Q_Tθ."""

    def __init__(self, T: float, slope: float, curvature: float, mixed: list[tuple[Tensor, Tensor, Tensor]]) -> None:
        self.T, self.slope, self.curvature, self.mixed = T, slope, curvature, mixed

    def feedback(self) -> float:
        """Q_Tθ δθ, with the change of θ since then."""
        return sum(float((q * (p.detach() - before)).sum()) for p, before, q in self.mixed)


class HorizonDescent(HorizonOptimizer):
    """δT = −η (Q_T + c (T − t0)): the baseline of first order. Arguments as for `HorizonOptimizer`."""

    def _change(self, seen: _Measured, length: float, penalty: float) -> float:
        return -(seen.slope + penalty * length)


class HorizonFeedback(HorizonOptimizer):
    """δT = −η (Q_T + c (T − t0) + Q_T Q_θ·δθ) / (Q_T² + c): the paper's policy, from first derivatives alone.

    The Gauss–Newton form takes L itself as the residual. Near a minimum T* of J the error of T shrinks by
    1 − η J_TT / (c + c² (T* − t0)²) a step: linearly, and not at all where that is beyond 1 in size, as where the
    penalty is small beside the curvature of L. Without a penalty Q_T² vanishes at the minimum and the step −η/Q_T grows
    without bound, so that c > 0 is asked for. Arguments as for `HorizonOptimizer`; θ's gradients are read in measure().
    """

    def __init__(self, T: Tensor, theta: Iterable[Tensor], *, penalty: float, **options: Any) -> None:
        if not penalty > 0:
            raise BadInput(
                f"the penalty is {penalty}",
                "no penalty is wanted; but then Q_TT ≈ Q_T² vanishes where Q_T does, and the step −1/Q_T explodes",
                "HorizonFeedback(T, theta, penalty=0.1), or HorizonNewton(T, theta) without a penalty",
            )
        super().__init__(T, theta, penalty=penalty, **options)

    def measure(self) -> None:
        slope = self._slope()
        self._keep(slope, slope**2, tuple(None if p.grad is None else slope * p.grad for p in self.theta))

    def _change(self, seen: _Measured, length: float, penalty: float) -> float:
        return -(seen.slope + penalty * length + seen.feedback()) / (seen.curvature + penalty)


class HorizonNewton(HorizonOptimizer):
    """δT = −η (Q_T + c (T − t0) + Q_Tθ·δθ) / |Q_TT + c| with the exact derivatives: converges quadratically.

    measure(loss, end, field) comes *before* loss.backward(). It asks for Q_T = Φ_y(y(T))·F(T, y(T)) as a function
    of (T, θ) and differentiates that once more, an ordinary backward pass through the solve, so that any engine that
    gives gradients in t will do, torchdiffeq's adjoint as well.

    Where Q_TT + c is not positive the expansion has no minimum. Its size is then taken in place of it, so that T still
    goes downhill, away from the maximum that Newton's step would go to, and `LARGEST_CHANGE` bounds the step.

    If δθ is the step of θ in the Newton step of both, δT completes it. If δθ is Newton's step of θ alone, the errors of
    both shrink by ρ = |Q_Tθ|²/(J_TT J_θθ) a step (one θ), and by √ρ without the feedback. Arguments as for
    `HorizonOptimizer`.
    """

    _compared = False

    def measure(self, loss: Tensor, end: Tensor, field: Callable[[Tensor, Tensor], Tensor]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take Q_T, Q_TT and Q_Tθ.

        loss: (), Φ(y(T)), with its graph: no backward pass has freed it.
        end: y(T), the very tensor that the loss was computed from, and the only way in which it depends on T.
        field: called as field(T, end) → F, shaped like end.

        The first call compares with what automatic differentiation says, for two backward passes more.
        """
        slope = _slope_graph(self.T, loss, end, field)
        if not self._compared:
            _through_the_end_alone(self.T, loss, end, slope.item())
            self._compared = True
        wanted = (self.T, *self.theta)
        found = torch.autograd.grad(slope, wanted, retain_graph=True, allow_unused=True)
        curvature = 0.0 if found[0] is None else found[0].item()
        self._keep(slope.item(), curvature, found[1:])

    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().step(closure)
        self.T.grad = None

    def _change(self, seen: _Measured, length: float, penalty: float) -> float:
        slope, curvature = seen.slope + penalty * length + seen.feedback(), abs(seen.curvature + penalty)
        if slope == 0.0:
            return 0.0
        return -slope / curvature if curvature > 0.0 else -math.copysign(math.inf, slope)


def _slope_graph(T: Tensor, loss: Tensor, end: Tensor, field: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Q_T = Φ_y(y(T))·F(T, y(T)), differentiable in T and θ."""
    if not end.requires_grad or not loss.requires_grad:
        raise BadInput(
            "the loss or the end of the solve has no graph",
            "torch.no_grad(), or detach()",
            "measure(loss, y[-1], field)",
        )
    (pull,) = torch.autograd.grad(loss, end, create_graph=True, allow_unused=True)
    if pull is None:
        raise BadInput(
            "the loss does not depend on the tensor `end`",
            "y[-1] written twice makes two tensors",
            "end = odeint(...)[-1]; loss = criterion(end); horizon.measure(loss, end, field)",
        )
    rate = field(T, end)
    if rate.shape != end.shape:
        raise BadInput(
            f"field(T, end) has shape {tuple(rate.shape)} and end {tuple(end.shape)}",
            "end is a part of the state, or has passed through another layer",
            "the whole state at T, as the solve returned it",
        )
    return (pull * rate).sum()


def _through_the_end_alone(T: Tensor, loss: Tensor, end: Tensor, slope: float) -> None:
    """Raise BadInput if dL/dT is more than what comes by `end`, or that is not Φ_y·F (T moves t0 or y0 too)."""
    (pull,) = torch.autograd.grad(loss, end, retain_graph=True)
    (whole,) = torch.autograd.grad(loss, T, retain_graph=True, allow_unused=True)
    (by_end,) = torch.autograd.grad(end, T, pull, retain_graph=True, allow_unused=True)
    whole, by_end = (0.0 if g is None else g.item() for g in (whole, by_end))
    size = max(abs(whole), abs(by_end), abs(slope))
    if not math.isfinite(size):
        return  # said with the slope itself
    if abs(whole - by_end) > APART * size or abs(by_end - slope) > DISCRETE * size + ROUND:
        raise BadInput(
            f"dL/dT is {whole:g}, by way of `end` {by_end:g}, and Q_T = Φ_y·F is {slope:g}",
            "the loss depends on T in another way too, as a term of T itself, an output at T/2, a start that moves; "
            "or the field is not the one that was solved",
            "penalty=c for a term of T, fixed times but the last, and measure(loss, end, field) with the solve's field",
        )


def _check(
    T: Tensor, theta: tuple[Tensor, ...], learning_rate: float, penalty: float, begin: float, decay: float
) -> None:
    if T.dim() != 0 or not T.is_leaf or not T.requires_grad or not T.is_floating_point():
        raise BadInput(
            f"T has shape {tuple(T.shape)}, requires_grad={T.requires_grad}",
            "a number, a vector of times, or a result of other tensors",
            "T = torch.nn.Parameter(torch.tensor(1.0))",
        )
    if not T.item() > begin:
        raise BadInput(f"T is {T.item():g} and t0 {begin:g}", "T and begin are exchanged", "begin=t0 < T")
    if any(p is T for p in theta):
        raise BadInput(
            "T is among theta",
            "model.parameters() contains it",
            "theta=[p for p in model.parameters() if p is not T]",
        )
    if not learning_rate > 0 or not penalty >= 0 or not 0 <= decay < 1:
        raise BadInput(
            f"learning_rate={learning_rate}, penalty={penalty}, decay={decay}",
            "a sign, or a decay written as 1 − decay",
            "learning_rate > 0, penalty >= 0, 0 <= decay < 1",
        )
