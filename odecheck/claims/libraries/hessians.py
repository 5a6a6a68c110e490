"""Second derivatives by every public route of torch, asked of a library's solution (claims HES-1 to HES-8).

A Hessian of L(y(ts)) is the sum of two parts, H = S + G: the first-order part (Gauss–Newton) G = Xᵀ L_yy X, X = ∂y/∂z,
needs first derivatives of the flow alone; S = Σ L_y · ∂²y/∂z² is what second derivatives add. Each claim splits what a
route returns into shares of both by least squares, H = σ S + γ G + rest. All zero is (0, 0, 0); "equals the first-order
part" is (0, 1, 0); right is (1, 1, 0), and any other wrong entry is in the rest, relative to the norm of H.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, gauss_newton, gradient, hessian
from odecheck_reference.bounded import Array
from odecheck_reference.looked import kept
from torch import Tensor, nn

from odecheck.claim import claim, family
from odecheck.claims.shared.graph import no_integral, refusals
from odecheck.engines.base import graph_of
from odecheck.errors import NotApplicable
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import graph as broken
from odecheck.refinement import ladder
from odecheck.subject import Subject, to_numpy

Loss = Callable[[Tensor], Tensor]  # of the start: solve, then the problem's loss
Route = Callable[[Loss, Tensor, list[nn.Parameter]], Tensor]
LARGEST = 40


@dataclass(frozen=True, eq=False)
class Parts:
    """Second-order and first-order part of what a route should return, flat, and how well they are known."""

    second: Array
    first: Array
    radius: float

    @property
    def basis(self) -> Array:
        """The two parts side by side, (entries, 2)."""
        return np.stack([self.second, self.first], axis=1)

    def shares(self, found: Array) -> Array:
        """[σ, γ, ‖rest‖ / ‖S + G‖] of what a route returned."""
        if not np.isfinite(found).all():
            return np.full(3, np.nan)
        size = float(np.linalg.norm(self.second + self.first))
        both, *_ = np.linalg.lstsq(self.basis, found, rcond=None)
        return np.r_[both, np.linalg.norm(found - self.basis @ both) / size]

    @property
    def expected(self) -> Bounded:
        """The right shares; a radius of the entries moves them by no more than the pseudoinverse does."""
        moved = self.radius * float(np.linalg.norm(np.linalg.pinv(self.basis), 2))
        rest = self.radius / float(np.linalg.norm(self.second + self.first))
        return Bounded(np.array([1.0, 1.0, 0.0]), {"reference": np.array([moved, moved, rest])})


def _parts(second: Array, first: Array, radius: float) -> Parts:
    parts = Parts(second.ravel(), first.ravel(), radius)
    sizes = np.linalg.norm(parts.basis, axis=0)
    if sizes.min() < 1e-3 * sizes.max() or np.linalg.cond(parts.basis / sizes) > 1e3:
        raise NotApplicable("one of the two parts is missing here, or they look alike: the shares tell nothing")
    return parts


@kept(64)
def of_the_hessian(problem: Problem, *, start_only: bool) -> Parts:
    """Both parts of the Hessian in (y0, theta), or in y0 alone."""
    no_integral(problem)
    rows = problem.y0.size + (0 if start_only else problem.field.params)
    if rows > LARGEST:
        raise NotApplicable(f"the Hessian has {rows} rows; routes are compared up to {LARGEST}")
    block = (slice(0, rows), slice(0, rows))
    whole, first = hessian(problem), gauss_newton(problem)
    radius = float(np.linalg.norm(whole.radius[block]) + np.linalg.norm(first.radius[block]))
    return _parts(whole.value[block] - first.value[block], first.value[block], radius)


@kept(64)
def of_a_product(problem: Problem, direction: tuple[float, ...]) -> Parts:
    """Both parts of the Hessian in y0 times a direction."""
    of_the_hessian(problem, start_only=True)
    rows = slice(0, problem.y0.size)
    v, whole, first = np.array(direction), hessian(problem), gauss_newton(problem)
    along = first.value[rows, rows] @ v
    radius = float(np.linalg.norm(whole.radius[rows, rows]) + np.linalg.norm(first.radius[rows, rows]))
    return _parts(whole.value[rows, rows] @ v - along, along, radius * float(np.linalg.norm(v)))


@kept(64)
def of_a_penalty(problem: Problem) -> Parts:
    """Both parts of the gradient of L + ½‖∂L/∂y0‖² in (y0, theta): the penalty's, H ∂L/∂y0, and that of L."""
    of_the_hessian(problem, start_only=False)
    size, whole, first = problem.y0.size, hessian(problem), gradient(problem)
    slope = first.y0.value.ravel()
    rows = slice(0, size + problem.field.params)
    penalty = whole.value[rows, :size] @ slope
    radius = float(np.linalg.norm(whole.radius[rows, :size])) * float(np.linalg.norm(slope))
    radius += (1 + float(np.linalg.norm(whole.value[rows, :size], 2))) * float(
        np.linalg.norm(np.r_[first.y0.radius.ravel(), first.theta.radius])
    )
    return _parts(penalty, np.r_[slope, first.theta.value], radius)


def _by(subject: Subject, problem: Problem, parts: Parts, route: Route) -> tuple[Bounded, Bounded]:
    """Shares of what a route returns at the subject's solution, and the right ones."""

    def observe(s: Subject) -> Array:
        def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: Callable[[Tensor], Tensor]) -> Array:
            engine = graph_of(s.engine)
            params = [p for p in module.parameters() if p.requires_grad]
            with refusals(s):
                found = route(lambda start: loss(engine.attached(module, s.solver, start, ts)), y0, params)
            return parts.shares(to_numpy(found).ravel())

        return s.observe(problem, action)

    return ladder(subject, observe, scale=1.0), parts.expected


def _gradient_with_graph(loss: Loss, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    found = torch.autograd.grad(loss(leaves[0]), leaves, create_graph=True, allow_unused=True)
    missing: Any = found  # torch's types do not know allow_unused
    return tuple(torch.zeros_like(x) if g is None else g for g, x in zip(missing, leaves, strict=True))


def double_backward(loss: Loss, y0: Tensor, params: list[nn.Parameter]) -> Tensor:
    """Row by row: the derivative of each component of a gradient that was made with create_graph."""
    leaves = [y0.detach().requires_grad_(), *params]
    slope = torch.cat([g.reshape(-1) for g in _gradient_with_graph(loss, leaves)])
    rows: list[Tensor] = []
    for component in slope:
        got: Any = torch.autograd.grad(component, leaves, retain_graph=True, allow_unused=True)
        rows.append(
            torch.cat([(torch.zeros_like(x) if g is None else g).reshape(-1) for g, x in zip(got, leaves, strict=True)])
        )
    return torch.stack(rows)


def penalty(loss: Loss, y0: Tensor, params: list[nn.Parameter]) -> Tensor:
    """By backward() of L + ½‖∂L/∂y0‖²."""
    start = y0.detach().requires_grad_()
    value = loss(start)
    (slope,) = torch.autograd.grad(value, start, create_graph=True)
    (value + slope.square().sum() / 2).backward()
    leaves = [start, *params]
    return torch.cat([(torch.zeros_like(x) if x.grad is None else x.grad).reshape(-1) for x in leaves])


def functional_hessian(loss: Loss, y0: Tensor, params: list[nn.Parameter]) -> Tensor:
    """By torch.autograd.functional.hessian."""
    found: Any = torch.autograd.functional.hessian(loss, y0)
    return found


def _direction(y0: Tensor) -> Tensor:
    return torch.linspace(1.0, -0.5, y0.numel(), dtype=y0.dtype).reshape(y0.shape)


def functional_hvp(loss: Loss, y0: Tensor, params: list[nn.Parameter]) -> Tensor:
    """By torch.autograd.functional.hvp."""
    found: Any = torch.autograd.functional.hvp(loss, y0, _direction(y0))
    return found[1]


def functional_vhp(loss: Loss, y0: Tensor, params: list[nn.Parameter]) -> Tensor:
    """By torch.autograd.functional.vhp."""
    found: Any = torch.autograd.functional.vhp(loss, y0, _direction(y0))
    return found[1]


def func_hessian(loss: Loss, y0: Tensor, params: list[nn.Parameter]) -> Tensor:
    """By torch.func.hessian."""
    return torch.func.hessian(loss)(y0)


def func_reverse_twice(loss: Loss, y0: Tensor, params: list[nn.Parameter]) -> Tensor:
    """By torch.func.jacrev of torch.func.grad."""
    return torch.func.jacrev(torch.func.grad(loss))(y0)


def func_forward_over_reverse(loss: Loss, y0: Tensor, params: list[nn.Parameter]) -> Tensor:
    """By torch.func.jvp of torch.func.grad."""
    return torch.func.jvp(torch.func.grad(loss), (y0,), (_direction(y0),))[1]


whole = partial(of_the_hessian, start_only=False)
in_start = partial(of_the_hessian, start_only=True)


def product(problem: Problem) -> Parts:
    """Both parts of a Hessian-vector product in y0."""
    count = problem.y0.size
    return of_a_product(problem, tuple(np.linspace(1.0, -0.5, count)))


HES = family("HES", title="What second derivatives of a library promise", order=120, topic="use")


@claim(
    "HES-1",
    source="torch.autograd.grad with create_graph",
    resolution=1e-4,
    scale=1.0,
    mutants=[broken.FIRST_ORDER_ONLY, broken.BENT, wrong.SCALED_FIELD],
)
def backward_over_backward(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Differentiating a gradient again, with create_graph, gives the Hessian in (y0, theta): neither zero nor G."""
    return _by(subject, problem, whole(problem), double_backward)


@claim(
    "HES-2",
    source="torch.autograd.functional.hessian",
    resolution=1e-4,
    scale=1.0,
    mutants=[broken.ALL_ZERO, broken.FIRST_ORDER_ONLY, broken.BENT, wrong.SCALED_FIELD],
)
def hessian_of_autograd(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """torch.autograd.functional.hessian of the loss in y0 is its Hessian: neither zero nor the first-order part."""
    return _by(subject, problem, in_start(problem), functional_hessian)


@claim(
    "HES-3",
    source="gradient penalties: Drucker & Le Cun 1992, double backpropagation",
    resolution=1e-4,
    scale=1.0,
    mutants=[broken.ALL_ZERO, broken.FIRST_ORDER_ONLY, broken.BENT],
)
def gradient_penalty(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """backward() of L + ½‖∂L/∂y0‖² gives the penalty's derivative as well as that of L.

    Here the shares are those of the penalty, H ∂L/∂y0, and of the gradient of L.
    """
    return _by(subject, problem, of_a_penalty(problem), penalty)


@claim(
    "HES-4",
    source="torch.autograd.functional.hvp",
    resolution=1e-4,
    scale=1.0,
    mutants=[broken.FIRST_ORDER_ONLY, broken.BENT, wrong.SCALED_FIELD],
)
def product_of_autograd(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """torch.autograd.functional.hvp of the loss in y0 is its Hessian times the vector."""
    return _by(subject, problem, product(problem), functional_hvp)


@claim(
    "HES-5",
    source="torch.autograd.functional.vhp",
    resolution=1e-4,
    scale=1.0,
    mutants=[broken.ALL_ZERO, broken.FIRST_ORDER_ONLY, broken.BENT],
)
def vector_product_of_autograd(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """torch.autograd.functional.vhp of the loss in y0 is the vector times its Hessian."""
    return _by(subject, problem, product(problem), functional_vhp)


@claim(
    "HES-6",
    source="torch.func.hessian: forward over reverse, batched",
    resolution=1e-4,
    scale=1.0,
    mutants=[broken.BENT, wrong.SCALED_FIELD],
)
def hessian_of_func(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """torch.func.hessian of the loss in y0 is its Hessian."""
    return _by(subject, problem, in_start(problem), func_hessian)


@claim(
    "HES-7",
    source="torch.func.jacrev of torch.func.grad",
    resolution=1e-4,
    scale=1.0,
    mutants=[broken.BENT, wrong.SCALED_FIELD],
)
def reverse_twice(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """torch.func.jacrev of torch.func.grad of the loss in y0 is its Hessian."""
    return _by(subject, problem, in_start(problem), func_reverse_twice)


@claim(
    "HES-8",
    source="torch.func.jvp of torch.func.grad",
    resolution=1e-4,
    scale=1.0,
    mutants=[broken.BENT, wrong.SCALED_FIELD],
)
def forward_over_reverse(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """torch.func.jvp of torch.func.grad of the loss in y0 is its Hessian times the vector."""
    return _by(subject, problem, product(problem), func_forward_over_reverse)
