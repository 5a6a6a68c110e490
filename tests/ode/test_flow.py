"""Every derivative of a linear ODE by every route, against the matrix exponential."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.utils._pytree import tree_leaves

from odecheck.ode import odeint

TOLERANCE = {"rtol": 1e-11, "atol": 1e-11}
ALL = (0, 1, 2)

pytestmark = pytest.mark.usefixtures("in_float64")


class Linear(nn.Module):
    def __init__(self, a: Tensor):
        super().__init__()
        self.a = nn.Parameter(a.clone())

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return y @ self.a.mT


class Model(nn.Module):
    def __init__(self, field: nn.Module):
        super().__init__()
        self.field = field

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return odeint(self.field, x, t, **TOLERANCE)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)), dtype=torch.float64)


def score(states: Tensor) -> Tensor:
    """Not quadratic, and different at every observation."""
    targets = torch.cos(3.0 * torch.arange(states.numel(), dtype=states.dtype)).view(states.shape)
    return ((states - targets) ** 3).sum()


def exact(x: Tensor, a: Tensor, t: Tensor) -> Tensor:
    return score(torch.stack([torch.linalg.matrix_exp(a * (s - t[0])) @ x for s in t]))


def by_closure(x: Tensor, a: Tensor, t: Tensor) -> Tensor:
    return score(odeint(lambda s, y: y @ a.mT, x, t, adjoint_params=(a,), **TOLERANCE))


MODEL = Model(Linear(draw(2, 2).double()))


def by_functional_call(x: Tensor, a: Tensor, t: Tensor) -> Tensor:
    return score(functional_call(MODEL, {"field.a": a}, (x, t)))


X, A, T = draw(2), 0.7 * draw(2, 2), torch.tensor([0.1, 0.5, 1.2], dtype=torch.float64)
POINT = (X, A, T)
DIRECTION = (draw(2, seed=1), draw(2, 2, seed=1), draw(3, seed=1))
XS, AS, TS = draw(3, 2), 0.7 * draw(3, 2, 2), torch.stack([T, 2 * T, T.flip(0)])


def eager(f: Callable, order: int) -> list[Tensor]:
    inputs = [x.clone().requires_grad_() for x in POINT]
    value, grads = f(*inputs), []
    for _ in range(order):
        grads = torch.autograd.grad(value, inputs, create_graph=True)
        value = sum((g * v).sum() for g, v in zip(grads, DIRECTION, strict=True))
    return [g.detach() for g in grads]


def dual(f: Callable, then_backward: bool) -> list[Tensor]:
    inputs = [x.clone().requires_grad_() for x in POINT]
    with forward_ad.dual_level():
        pairs = [forward_ad.make_dual(x, v) for x, v in zip(inputs, DIRECTION, strict=True)]
        tangent = forward_ad.unpack_dual(f(*pairs)).tangent
        return list(torch.autograd.grad(tangent, inputs)) if then_backward else [tangent.detach()]


def dual_over_backward(f: Callable) -> list[Tensor]:
    inputs = [x.clone().requires_grad_() for x in POINT]
    with forward_ad.dual_level():
        pairs = [forward_ad.make_dual(x, v) for x, v in zip(inputs, DIRECTION, strict=True)]
        grads = torch.autograd.grad(f(*pairs), pairs)
        return [forward_ad.unpack_dual(g).tangent.detach() for g in grads]


def tangent(f: Callable) -> Callable:
    return lambda *point: jvp(f, point, DIRECTION)[1]


ROUTES = {
    "value": lambda f: f(*POINT),
    "backward": lambda f: eager(f, 1),
    "double backward": lambda f: eager(f, 2),
    "triple backward": lambda f: eager(f, 3),
    "grad": lambda f: grad(f, ALL)(*POINT),
    "vjp": lambda f: vjp(f, *POINT)[1](torch.tensor(2.0)),
    "jvp": lambda f: jvp(f, POINT, DIRECTION),
    "jacrev": lambda f: jacrev(f, ALL)(*POINT),
    "jacfwd": lambda f: jacfwd(f, ALL)(*POINT),
    "hessian": lambda f: hessian(f, ALL)(*POINT),
    "jvp of grad": lambda f: jvp(grad(f, ALL), POINT, DIRECTION),
    "grad of jvp": lambda f: grad(tangent(f), ALL)(*POINT),
    "jvp of jvp": lambda f: jvp(tangent(f), POINT, DIRECTION),
    "grad of grad": lambda f: grad(lambda *p: grad(f, ALL)(*p)[1].square().sum(), ALL)(*POINT),
    "jacrev of jacrev": lambda f: jacrev(jacrev(f, ALL), ALL)(*POINT),
    "jacfwd of jacfwd": lambda f: jacfwd(jacfwd(f, ALL), ALL)(*POINT),
    "jacrev of jacfwd": lambda f: jacrev(jacfwd(f, ALL), ALL)(*POINT),
    "jvp of jvp of grad": lambda f: jvp(lambda *p: jvp(grad(f, ALL), p, DIRECTION)[1], POINT, DIRECTION),
    "jacrev of hessian": lambda f: jacrev(hessian(f))(*POINT),
    "vmap in y0": lambda f: vmap(f, (0, None, None))(XS, A, T),
    "vmap in the parameters": lambda f: vmap(f, (None, 0, None))(X, AS, T),
    "vmap in the times": lambda f: vmap(f, (None, None, 0))(X, A, TS),
    "vmap in all": lambda f: vmap(f)(XS, AS, TS),
    "vmap of vmap": lambda f: vmap(vmap(f, (0, None, None)), (None, 0, None))(XS, AS, T),
    "vmap along another axis": lambda f: vmap(f, (1, None, None))(XS.mT.contiguous(), A, T),
    "vmap of grad": lambda f: vmap(grad(f, ALL), (0, None, None))(XS, A, T),
    "vmap of grad in all": lambda f: vmap(grad(f, ALL))(XS, AS, TS),
    "vmap of hessian": lambda f: vmap(hessian(f), (0, 0, None))(XS, AS, T),
    "vmap of jvp of grad": lambda f: vmap(lambda v: jvp(lambda x: grad(f)(x, A, T), (X,), (v,))[1])(XS),
    "grad of vmap": lambda f: grad(lambda *p: vmap(f, (0, None, None))(*p).sum(), ALL)(XS, A, T),
    "hessian of vmap": lambda f: hessian(lambda x: vmap(f, (0, None, None))(x, A, T).sum())(XS),
    "jvp of vmap": lambda f: jvp(lambda x: vmap(f, (0, None, None))(x, A, T), (XS,), (XS.flip(0),)),
    "dual numbers": lambda f: dual(f, False),
    "backward of dual numbers": lambda f: dual(f, True),
    "dual numbers over backward": dual_over_backward,
    "autograd.functional.hessian": lambda f: torch.autograd.functional.hessian(f, POINT),
}


def gap(observed: object, expected: object) -> float:
    """The largest difference, relative to one plus the largest entry."""
    pairs = list(zip(tree_leaves(observed), tree_leaves(expected), strict=True))
    return max(float((u - v).abs().max() / (1 + v.abs().max())) for u, v in pairs)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("form", [by_closure, by_functional_call])
def test_every_route_gives_the_closed_form(route: str, form: Callable) -> None:
    observed, expected = ROUTES[route](form), ROUTES[route](exact)
    assert max(float(v.abs().max()) for v in tree_leaves(expected)) > 0.1  # zeros would agree with zeros
    assert gap(observed, expected) < 1e-9


@pytest.mark.parametrize("route", ["double backward", "jvp of grad", "hessian", "vmap of grad"])
def test_decreasing_times(route: str) -> None:
    def backwards(f: Callable) -> Callable:
        return lambda x, a, t: f(x, a, t.flip(0))

    assert gap(ROUTES[route](backwards(by_closure)), ROUTES[route](backwards(exact))) < 1e-9


@pytest.mark.parametrize("route", ["grad", "double backward", "jvp of grad", "hessian"])
def test_only_the_last_time_matters(route: str) -> None:
    """A loss that ignores all observations but one leaves cotangents out."""

    def last(states: Tensor) -> Tensor:
        return (states[-1] ** 3).sum()

    def expected(x: Tensor, a: Tensor, t: Tensor) -> Tensor:
        return last((torch.linalg.matrix_exp(a * (t[-1] - t[0])) @ x)[None])

    def observed(x: Tensor, a: Tensor, t: Tensor) -> Tensor:
        return last(odeint(lambda s, y: y @ a.mT, x, t[[0, 2]], adjoint_params=(a,), **TOLERANCE))

    assert gap(ROUTES[route](observed), ROUTES[route](expected)) < 1e-9


def test_a_sample_is_as_accurate_in_company_as_alone() -> None:
    """The step size follows the worst sample, not the mean over them."""
    starts = torch.cat([torch.zeros(63, 2), torch.tensor([[40.0, 30.0]])])

    def solve(x: Tensor) -> Tensor:
        return odeint(lambda t, y: -y * y.norm(), x, T, rtol=1e-6, atol=1e-6)

    together, alone = vmap(solve)(starts)[-1], solve(starts[-1])
    assert float((together - alone).abs().max()) < 1e-14
