"""A pytree of arrays as one vector of numbers, and a field on it."""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

import numpy as np
import pytest
import torch

from odecheck import BadInput
from odecheck.fields.jax_state import layout_of, on_vectors

jax = pytest.importorskip("jax")
STATE = {"b": np.array([[1.0, 2.0]], np.float32), "a": (3.0, 4)}


def test_numbers_lie_leaf_by_leaf_and_come_back():
    layout = layout_of(STATE)
    vector = layout.vector(layout.example)
    assert layout.size == 4 and np.asarray(vector).tolist() == [3.0, 4.0, 1.0, 2.0]
    back = layout.state(vector)
    assert back["b"].shape == (1, 2) and float(back["a"][1]) == 4.0
    rows = jax.tree.map(lambda x: np.stack([x, 2 * x]), layout.example)
    assert np.asarray(layout.rows(rows, (2,)))[1].tolist() == [6.0, 8.0, 2.0, 4.0]


def test_a_field_on_it_is_a_module_on_rows_of_numbers():
    layout = layout_of(STATE)
    module = on_vectors(layout, lambda t, y, k: jax.tree.map(lambda x: k * x, y), np.array(2.0, np.float32))
    y = torch.tensor([[3.0, 4.0, 1.0, 2.0], [0.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    assert torch.equal(module(torch.tensor(0.0), y), 2 * y)


def test_states_of_another_form_are_refused():
    layout = layout_of(STATE)
    for found, words in (
        ({"b": STATE["b"]}, "is the pytree"),
        (jax.tree.map(lambda x: x[None], layout.example), "has shape"),
        (jax.tree.map(lambda x: x.astype(np.float32), layout.example), "is float32"),
    ):
        with pytest.raises(BadInput, match=words):
            layout.of_this_form("it", found, (), "fix")
