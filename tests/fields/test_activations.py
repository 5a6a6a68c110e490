"""Activations are the reference's functions of the same name, to second order and far out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference.fields.functions import ACTIVATIONS as EXACT
from torch.func import grad, vmap

from odecheck.fields.activations import ACTIVATIONS, Softplus

X = np.array([-50.0, -3.0, -0.5, 0.0, 0.25, 2.0, 19.0, 21.0, 39.0, 41.0])


def test_the_names_are_those_of_the_reference():
    assert set(ACTIVATIONS) == set(EXACT)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_derivatives_are_those_of_the_reference(name):
    function, at, exact = ACTIVATIONS[name](), torch.tensor(X), EXACT[name]
    seen = [function(at), vmap(grad(function))(at), vmap(grad(grad(function)))(at)]
    for got, expected in zip(seen, (exact.value, exact.first, exact.second), strict=True):
        np.testing.assert_allclose(got.numpy(), expected(X), rtol=1e-12, atol=1e-15)


def test_the_softplus_of_torch_would_not_pass():
    """It is linear from 20 on, off by 2e-9: what ours is there for."""
    at = torch.tensor([20.5], dtype=torch.float64)
    exact = EXACT["softplus"].value(np.array([20.5]))
    assert abs(torch.nn.Softplus()(at).numpy() - exact)[0] > 1e-9
    assert abs(Softplus()(at).numpy() - exact)[0] < 1e-14
