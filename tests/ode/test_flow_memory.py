"""What a solve and its derivatives hold does not grow with the steps."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from odecheck.ode import odeint
from odecheck.second_order import hvp
from tests.ode.shared import Field, X

pytestmark = pytest.mark.usefixtures("in_float64")


def test_memory_does_not_grow_with_the_steps() -> None:
    def saved_bytes(end: float, call: Callable) -> tuple[int, int]:
        total, field = 0, Field()

        def count(x: Tensor) -> Tensor:
            nonlocal total
            total += x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            call(field, torch.tensor([0.0, end], dtype=torch.float64))
        return total, len(field.steps)

    def double_backward(field: nn.Module, t: Tensor) -> object:
        x = X.clone().requires_grad_()
        (g,) = torch.autograd.grad(odeint(field, x, t, rtol=1e-6, atol=1e-6).square().sum(), x, create_graph=True)
        return g.sum()  # what is held is held now

    short, few = saved_bytes(1.0, double_backward)
    long, many = saved_bytes(64.0, double_backward)
    assert many > 4 * few
    # What each evaluation saves comes and goes; what stays until the end is the same.
    assert _held(double_backward, 1.0) == _held(double_backward, 64.0)
    zero = lambda field, t: hvp(field, X, t, lambda y: y.square().sum(), (X, None), rtol=1e-6, atol=1e-6)  # noqa: E731
    assert _held(zero, 1.0) == _held(zero, 64.0)
    assert short < long  # the count does see the evaluations


def _held(call: Callable, end: float) -> int:
    """Peak bytes of saved tensors alive at once."""
    alive, peak = 0, 0

    class Saved:
        def __init__(self, x: Tensor):
            nonlocal alive, peak
            self.x, self.bytes = x, x.numel() * x.element_size()
            alive += self.bytes
            peak = max(peak, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= self.bytes

    with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.x):
        result = call(Field(), torch.tensor([0.0, end], dtype=torch.float64))
    assert result is not None
    return peak
