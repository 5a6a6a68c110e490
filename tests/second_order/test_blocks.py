"""Second-order equations against differentiation of the closed solve; wrong equations are refuted."""

import pytest
import torch
from torch import Tensor

from odecheck import second_order
from odecheck.second_order import blocks as blocks_module
from tests.second_order.problems import TIMES, TOLERANCE, close, setup

pytestmark = pytest.mark.usefixtures("in_float64")


@pytest.mark.parametrize("shape", [(2,), (3, 2)])
@pytest.mark.parametrize("with_cost", [False, True])
def test_hessian_agrees_with_differentiation(shape: tuple[int, ...], with_cost: bool) -> None:
    field, x, loss, cost, total, z = setup(shape, with_cost)
    expected = torch.func.hessian(total)(z)
    matrix = second_order.hessian(field, x, TIMES, loss, running_cost=cost, **TOLERANCE)
    assert close(matrix, expected)
    assert float((matrix - matrix.mT).abs().max()) <= 1e-14 * float(matrix.abs().max())


def test_blocks_at_a_time_between_are_those_of_the_rest_of_the_solve() -> None:
    field, x, loss, cost, _, _ = setup((2,), True)
    whole = second_order.q_blocks(field, x, TIMES, loss, running_cost=cost, **TOLERANCE)
    rest_loss = lambda y: loss(torch.cat([whole.x[:1], y]))  # noqa: E731
    rest = second_order.q_blocks(field, whole.x[1], TIMES[1:], rest_loss, running_cost=cost, **TOLERANCE)
    for name in ("a", "theta", "xx", "xtheta", "thetatheta"):
        assert close(getattr(whole, name)[1], getattr(rest, name)[0])


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


def test_another_form_is_refused() -> None:
    field, x, loss, _, _, _ = setup((3, 2), False)
    with pytest.raises(ValueError, match="form"):
        second_order.hessian(field, x, TIMES, loss, form="approximate")
