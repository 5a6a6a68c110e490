"""Low-rank factors of the Gauss-Newton form: those of known losses, and their products along the solve."""

import pytest
import torch
from torch import Tensor, nn

from odecheck import second_order
from tests.second_order.problems import TIMES, TOLERANCE, Model, close, setup

pytestmark = pytest.mark.usefixtures("in_float64")


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


def test_factors_of_another_shape_are_refused() -> None:
    field, x, _, _, _, _ = setup((3, 2), False)
    with pytest.raises(ValueError, match="shape"):
        second_order.gauss_newton_factors(field, x, TIMES, torch.ones(2, 2))
