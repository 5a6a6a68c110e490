"""Bytes that autograd holds for a backward pass, of computations that can be counted by hand."""

import pytest
import torch

from odecheck.instruments.saved_bytes import saved_bytes


@pytest.fixture
def x() -> torch.Tensor:
    return torch.ones(100, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("deep", "bytes_"), [(1, 800), (3, 2400)])
def test_each_exp_keeps_its_result(x, deep, bytes_):
    def chain():
        y = x
        for _ in range(deep):
            y = y.exp()
        y.sum().backward()

    assert saved_bytes(chain) == bytes_


def test_a_storage_that_is_kept_twice_counts_once_and_one_without_a_gradient_never(x):
    assert saved_bytes(lambda: x * x) == 800
    assert saved_bytes(lambda: x.detach().exp()) == 0


def test_what_is_freed_in_between_does_not_add_up(x):
    assert saved_bytes(lambda: [x.exp().sum().backward() for _ in range(3)]) == 800


def test_inside_a_transform_it_is_refused(x):
    with pytest.raises(RuntimeError, match="hooks"):
        saved_bytes(lambda: torch.func.grad(lambda y: y.exp().sum())(x))
