"""Deliberately wrong solves, each refuted by the comparison with a closed form that the right one passes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from odecheck.ode import fields, flow, odeint

TOLERANCE = {"rtol": 1e-11, "atol": 1e-11, "method": "dopri8"}


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


POINT = (tensor(0.4, 0.7), tensor(1.3), tensor(0.2, 0.5, 0.9))
DIRECTION = (tensor(0.5, -0.2), tensor(0.9), tensor(-0.3, 0.8, 0.4))


def field(x: Tensor, w: Tensor, t: Tensor) -> Tensor:
    """x' = w t x², whose solution is 1 / (1/x0 − w (t² − t0²) / 2): nonlinear and non-autonomous."""
    return odeint(lambda s, y: w * s * y * y, x, t, adjoint_params=(w,), **TOLERANCE)


def closed_form(x: Tensor, w: Tensor, t: Tensor) -> Tensor:
    return 1 / (1 / x - w * (t * t - t[0] ** 2)[:, None] / 2)


def loss_of(solve: Callable) -> Callable:
    targets = tensor(0.3, -0.4, 0.9, 0.1, -0.6, 0.5).view(3, 2)
    return lambda *point: ((solve(*point) - targets) ** 3).sum()


def first(f: Callable) -> list[Tensor]:
    return list(torch.func.grad(f, (0, 1, 2))(*POINT))


def second(f: Callable) -> list[Tensor]:
    """Double backward: reverse over reverse."""
    inputs = [x.clone().requires_grad_() for x in POINT]
    grads = torch.autograd.grad(f(*inputs), inputs, create_graph=True)
    return list(torch.autograd.grad(grads, inputs, DIRECTION))


def forward_over_reverse(f: Callable) -> list[Tensor]:
    return list(torch.func.jvp(torch.func.grad(f, (0, 1, 2)), POINT, DIRECTION)[1])


def gap(derivatives: Callable) -> float:
    pairs = zip(derivatives(loss_of(field)), derivatives(loss_of(closed_form)), strict=True)
    return max(float((u - v).abs().max() / v.abs().max()) for u, v in pairs)


def patched(name: str, make: Callable) -> Callable:
    @contextmanager
    def patch() -> Iterator[None]:
        right = getattr(flow, name)
        setattr(flow, name, make(right))
        try:
            yield
        finally:
            setattr(flow, name, right)

    return patch


def wrong_sign_of_t0(right: Callable) -> Callable:
    def pull_back(*args):
        gt, gy, gp = right(*args)
        return None if gt is None else torch.cat([-gt[:1], gt[1:]]), gy, gp

    return pull_back


def no_gradient_of_interior_times(right: Callable) -> Callable:
    def pull_back(*args):
        gt, gy, gp = right(*args)
        return (
            None if gt is None else gt * torch.cat([gt.new_ones(1), gt.new_zeros(len(gt) - 2), gt.new_ones(1)]),
            gy,
            gp,
        )

    return pull_back


def forgotten_interior_jump(right: Callable) -> Callable:
    def pull_back(solved, t, outputs, cotangents, *rest):
        ends = torch.ones_like(t).index_fill(0, torch.arange(1, len(t) - 1), 0.0)
        weak = [g * ends.view(-1, *[1] * (g.dim() - 1)) for g in cotangents]
        return right(solved, t, outputs, weak, *rest)

    return pull_back


def constant_rates_at_observations(right: Callable) -> Callable:
    """F(t_i, y_i) taken as a number: first derivatives right, second ones in the times wrong."""
    return lambda *args: [rate.detach() for rate in right(*args)]


def no_time_derivative(right: Callable) -> Callable:
    """F_t dropped."""
    return lambda field, t, outputs, p: right(field, t.detach(), outputs, p)


class WithoutTensorTerm(fields.Adjoint):
    """F_y taken as constant along a perturbation: a·F_yy and a·F_yθ dropped. First derivatives are right."""

    @contextmanager
    def fixed(self, p):
        with super().fixed([x.detach() for x in p]) as of_constants, super().fixed(p) as rates:

            def without(t, y):
                n = self.base.states
                constants = [torch.zeros_like(x) + x.detach() for x in y[:n]]
                if torch.autograd.forward_ad._current_level >= 0:
                    constants = [torch.autograd.forward_ad.unpack_dual(x).primal for x in constants]
                return (*rates(t, y)[:n], *of_constants(t, [*constants, *y[n:]])[n:])

            yield without


MUTANTS = {
    "sign of t0": (patched("_pull_back", wrong_sign_of_t0), first),
    "times between": (patched("_pull_back", no_gradient_of_interior_times), first),
    "interior jump": (patched("_pull_back", forgotten_interior_jump), first),
    "interior jump, second order": (patched("_pull_back", forgotten_interior_jump), second),
    "constant rates": (patched("_rates_at", constant_rates_at_observations), second),
    "time derivative": (patched("_rates_at", no_time_derivative), second),
    "time derivative, forward over reverse": (patched("_rates_at", no_time_derivative), forward_over_reverse),
    "tensor term": (patched("Adjoint", lambda _: WithoutTensorTerm), second),
    "tensor term, forward over reverse": (patched("Adjoint", lambda _: WithoutTensorTerm), forward_over_reverse),
}


@pytest.mark.parametrize("derivatives", [first, second, forward_over_reverse])
def test_the_right_one_passes(derivatives: Callable) -> None:
    assert gap(derivatives) < 1e-9


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_refuted(name: str) -> None:
    patch, derivatives = MUTANTS[name]
    with patch():
        assert gap(derivatives) > 1e-3


@pytest.mark.parametrize("name", ["constant rates", "time derivative", "tensor term"])
def test_first_derivatives_do_not_see_a_mutant_of_second_order(name: str) -> None:
    patch, _ = MUTANTS[name]
    with patch():
        assert gap(first) < 1e-9
