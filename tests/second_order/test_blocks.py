"""Second-order equations against differentiation of the closed solve, and against closed forms."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from odecheck import second_order
from odecheck.ode import odeint
from odecheck.second_order import blocks as blocks_module
from odecheck.second_order import products as products_module

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10, "method": "dopri8"}

pytestmark = pytest.mark.usefixtures("in_float64")


class Field(nn.Module):
    def __init__(self, d: int = 2, width: int = 3):
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.Linear(d, width, dtype=torch.float64)
        self.outer = nn.Linear(width, d, bias=False, dtype=torch.float64)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.outer(torch.tanh(self.inner(y) * (1 + t)))


class Cost(nn.Module):
    """A running cost that reads the field's parameters and depends on time."""

    def __init__(self, field: Field):
        super().__init__()
        self.field = field

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return (torch.sin(y) * t).sum() + (self.field.outer.weight**2).sum() * (y**2).sum()


class Model(nn.Module):
    """L as a function of (y0, θ, t) by an extra state for the integral: nothing but odeint."""

    def __init__(self, field: Field, loss: Callable, cost: bool):
        super().__init__()
        self.field, self.loss, self.cost = field, loss, Cost(field) if cost else None

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        if self.cost is None:
            return self.loss(odeint(self.field, x, t, **TOLERANCE))
        both = lambda s, state: (self.field(s, state[0]), self.cost(s, state[0]))  # noqa: E731
        states, integral = odeint(both, (x, x.new_zeros(())), t, **TOLERANCE)
        return self.loss(states) + integral[-1]


TIMES = torch.tensor([0.1, 0.6, 1.0], dtype=torch.float64)


def setup(shape: tuple[int, ...], with_cost: bool):
    field = Field()
    x = torch.cos(torch.arange(1.0, 1 + torch.Size(shape).numel())).view(shape)
    targets = torch.sin(torch.arange(3.0 * x.numel())).view(3, *shape)
    loss = lambda y: ((y - targets) ** 4).sum()  # noqa: E731
    model = Model(field, loss, with_cost)
    names = [f"field.{name}" for name, _ in field.named_parameters()]
    shapes = [p.shape for p in field.parameters()]

    def total(z: Tensor, t: Tensor = TIMES) -> Tensor:
        parts = z[x.numel() :].split([s.numel() for s in shapes])
        lent = {name: part.view(s) for name, part, s in zip(names, parts, shapes, strict=True)}
        return torch.func.functional_call(model, lent, (z[: x.numel()].view(shape), t))

    z = torch.cat([x.flatten(), *(p.detach().flatten() for p in field.parameters())])
    return field, x, loss, model.cost, total, z


def close(a: Tensor, b: Tensor, tolerance: float = 1e-8) -> bool:
    return float((a - b).abs().max()) < tolerance * float(b.abs().max())


@pytest.mark.parametrize("shape", [(2,), (3, 2)])
@pytest.mark.parametrize("with_cost", [False, True])
def test_hessian_and_product_agree_with_differentiation(shape: tuple[int, ...], with_cost: bool) -> None:
    field, x, loss, cost, total, z = setup(shape, with_cost)
    expected = torch.func.hessian(total)(z)
    matrix = second_order.hessian(field, x, TIMES, loss, running_cost=cost, **TOLERANCE)
    assert close(matrix, expected)
    assert float((matrix - matrix.mT).abs().max()) <= 1e-14 * float(matrix.abs().max())
    v = torch.cos(2 * torch.arange(float(len(z))))
    parts = v[x.numel() :].split([p.numel() for p in field.parameters()])
    along = [part.view(p.shape) for part, p in zip(parts, field.parameters(), strict=True)]
    result = second_order.hvp(
        field, x, TIMES, loss, (v[: x.numel()].view(shape), along), running_cost=cost, **TOLERANCE
    )
    assert close(torch.cat([result.product[0].flatten(), *(g.flatten() for g in result.product[1])]), expected @ v)
    gradient = torch.func.grad(total)(z)
    assert close(torch.cat([result.gradient[0].flatten(), *(g.flatten() for g in result.gradient[1])]), gradient)
    assert close(result.loss, total(z))


def test_blocks_at_a_time_between_are_those_of_the_rest_of_the_solve() -> None:
    field, x, loss, cost, _, _ = setup((2,), True)
    whole = second_order.q_blocks(field, x, TIMES, loss, running_cost=cost, **TOLERANCE)
    rest_loss = lambda y: loss(torch.cat([whole.x[:1], y]))  # noqa: E731
    rest = second_order.q_blocks(field, whole.x[1], TIMES[1:], rest_loss, running_cost=cost, **TOLERANCE)
    for name in ("a", "theta", "xx", "xtheta", "thetatheta"):
        assert close(getattr(whole, name)[1], getattr(rest, name)[0])


@pytest.mark.parametrize("shape", [(2,), (3, 2)])
def test_gauss_newton_is_the_outer_product_and_its_factors(shape: tuple[int, ...]) -> None:
    field, x, _, _, _, z = setup(shape, False)
    half_square = lambda y: (y[-1] ** 2).sum() / 2  # noqa: E731
    final = setup(shape, False)
    model = Model(final[0], lambda y: y[-1], False)
    names = [f"field.{name}" for name, _ in final[0].named_parameters()]

    def last(z: Tensor) -> Tensor:
        parts = z[x.numel() :].split([p.numel() for p in final[0].parameters()])
        lent = {n: q.view(p.shape) for n, q, p in zip(names, parts, final[0].parameters(), strict=True)}
        return torch.func.functional_call(model, lent, (z[: x.numel()].view(shape), TIMES)).flatten()

    jacobian = torch.func.jacrev(last)(z)
    matrix = second_order.hessian(field, x, TIMES, half_square, form="gauss-newton", **TOLERANCE)
    assert close(matrix, jacobian.mT @ jacobian)
    blocks = second_order.q_blocks(field, x, TIMES, half_square, form="gauss-newton", **TOLERANCE)
    factors = second_order.gauss_newton_factors(field, x, TIMES, second_order.squared_error_factors, **TOLERANCE)
    for name in ("xx", "xtheta", "thetatheta"):
        assert close(getattr(factors, name)[0], getattr(blocks, name)[0])
    exact = second_order.hessian(field, x, TIMES, half_square, **TOLERANCE)
    assert not close(matrix, exact, 1e-2)  # Gauss-Newton is not the Hessian


def test_factors_of_known_losses() -> None:
    logits = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.5, -0.5]])
    entropy = lambda x: 0.5 * nn.functional.cross_entropy(x, torch.tensor(1))  # noqa: E731
    rows = second_order.cross_entropy_factors(logits, 0.5)
    phi = torch.func.vmap(torch.func.hessian(entropy))(logits)
    assert close(rows.mT @ rows, phi, 1e-14)
    again = second_order.matrix_factors(phi)
    assert close(again.mT @ again, phi, 1e-14)
    square = second_order.squared_error_factors(logits, 3.0)
    assert close(square.mT @ square, 3 * torch.eye(3).expand(2, 3, 3), 1e-14)
    with pytest.raises(ValueError, match="negative eigenvalue"):
        second_order.matrix_factors(-phi)
    with pytest.raises(ValueError, match="not symmetric"):
        second_order.matrix_factors(phi + torch.triu(torch.ones(3, 3), 1))


@pytest.mark.parametrize("with_cost", [False, True])
def test_horizon(with_cost: bool) -> None:
    field, x, loss, cost, total, z = setup((3, 2), with_cost)
    of_end = lambda end, z: total(z, torch.cat([TIMES[:-1], end[None]]))  # noqa: E731
    observed = second_order.horizon_derivatives(field, x, TIMES, loss, running_cost=cost, **TOLERANCE)
    end, d = TIMES[-1], x.numel()
    slope = torch.func.grad(of_end)
    mixed = torch.cat([g.flatten() for g in observed.Ttheta])
    assert close(observed.T, slope(end, z))
    assert close(observed.TT, torch.func.grad(slope)(end, z))
    assert close(mixed, torch.func.grad(slope, 1)(end, z)[d:])
    assert close(torch.cat([g.flatten() for g in observed.gradient]), torch.func.grad(of_end, 1)(end, z)[d:])
    assert not close(observed.TT_gauss_newton, observed.TT, 0.1)
    step = 1e-4
    difference = (of_end(end + step, z) - 2 * of_end(end, z) + of_end(end - step, z)) / step**2
    assert close(observed.TT, difference, 1e-4)


def test_mutants_are_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    field, x, loss, cost, total, z = setup((2,), True)
    expected = torch.func.hessian(total)(z)

    def observed() -> Tensor:
        return second_order.hessian(field, x, TIMES, loss, running_cost=cost, **TOLERANCE)

    assert close(observed(), expected)
    right = blocks_module._second_adjoint_rates

    def gauss_newton_as_exact(samples, form, *rest):
        return right(samples, "gauss-newton", *rest)

    def no_symmetric_part(samples, form, t, p, theta, x, a, xx, xtheta):
        rates = list(right(samples, form, t, p, theta, x, a, xx, xtheta))
        jacobian = torch.func.jacrev(lambda x: samples.rates(t, x, theta, p)[0])(x)
        rates[2] = rates[2] + xx @ jacobian
        return tuple(rates)

    def transposed_block(samples, form, t, p, theta, x, a, xx, xtheta):
        rates = list(right(samples, form, t, p, theta, x, a, xx, xtheta))
        jacobian = torch.func.jacrev(lambda x: samples.rates(t, x, theta, p)[0])(x)
        rates[3] = rates[3] + jacobian.mT @ xtheta - jacobian @ xtheta
        return tuple(rates)

    for mutant in (gauss_newton_as_exact, no_symmetric_part, transposed_block):
        monkeypatch.setattr(blocks_module, "_second_adjoint_rates", mutant)
        assert not close(observed(), expected, 1e-3), mutant.__name__
    monkeypatch.setattr(blocks_module, "_second_adjoint_rates", right)

    def no_interior_curvature(loss, y, batched):
        slope, bend = blocks_curvature(loss, y, batched)
        return slope, torch.cat([torch.zeros_like(bend[:-1]), bend[-1:]])

    blocks_curvature = blocks_module.curvature_of_loss
    monkeypatch.setattr(blocks_module, "curvature_of_loss", no_interior_curvature)
    assert not close(observed(), expected, 1e-3)
    v = (torch.ones_like(x), [torch.ones_like(p) for p in field.parameters()])
    truth = (expected @ torch.ones_like(z))[:2]
    product = lambda: second_order.hvp(field, x, TIMES, loss, v, running_cost=cost, **TOLERANCE).product[0]  # noqa: E731
    assert close(product(), truth)
    backward = products_module._backward

    def no_interior_jump(problem, t, y, dy, c, dc, *rest):
        ends = torch.tensor([1.0, 0.0, 1.0])[:, None]
        return backward(problem, t, y, dy, c, [x * ends for x in dc], *rest)

    monkeypatch.setattr(products_module, "_backward", no_interior_jump)
    assert not close(product(), truth, 1e-3)


def test_refusals() -> None:
    field, x, loss, _, _, _ = setup((3, 2), False)
    with pytest.raises(ValueError, match="couples"):
        second_order.q_blocks(field, x, TIMES, lambda y: y.sum() ** 2)
    coupled = lambda t, y: y - y.mean(0)  # noqa: E731
    with pytest.raises(ValueError, match="depends on the other samples"):
        second_order.q_blocks(coupled, x, TIMES, loss)
    with pytest.raises(ValueError, match="shape"):
        second_order.gauss_newton_factors(field, x, TIMES, torch.ones(2, 2))
    with pytest.raises(ValueError, match="direction"):
        second_order.hvp(field, x, TIMES, loss, (x[0], None))
    with pytest.raises(ValueError, match="form"):
        second_order.hessian(field, x, TIMES, loss, form="approximate")
    with pytest.raises(ValueError, match="concatenate"):
        second_order.q_blocks(lambda t, y: y, (x,), TIMES, loss)
