"""diffrax's solves as programs: times that are filled up, and a program that is compiled once for equal fields."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

pytest.importorskip("diffrax")
from odecheck.engines.diffrax_program import How, arrays, compiled, filled, padded, tensor_of
from odecheck.engines.jax_field import jax_field
from tests.engines.elsewhere import decay_on

EULER = How("euler", "RecursiveCheckpointAdjoint", fixed=True, lands=False, jumps=())


@pytest.mark.parametrize(("count", "slots"), [(2, 8), (8, 8), (9, 24), (100, 128)])
def test_times_are_filled_up_with_the_last_one(count, slots):
    ts = torch.arange(count, dtype=torch.float64)
    assert padded(ts).tolist() == [*range(count), *[count - 1] * (slots - count)]


def test_cotangents_are_filled_up_with_zeros():
    found = filled(torch.ones(2, 1, 3, dtype=torch.float64), 8)
    assert found.shape == (8, 1, 3) and float(found.sum()) == 6.0 and float(found[2:].sum()) == 0.0


def test_numbers_are_float64_there_and_back():
    there = torch.tensor([1 / 3, 1e-300], dtype=torch.float64)
    (array,) = arrays(there)
    assert array.dtype == np.float64 and torch.equal(tensor_of(array), there)


def test_a_program_takes_the_steps_that_it_is_given():
    module, y0, _ = decay_on("cpu")
    ts = padded(torch.tensor([0.0, 1.0], dtype=torch.float64))
    program = compiled(jax_field(module, y0), EULER, "states")
    y, t, *params = arrays(y0, ts, *module.parameters())
    states, (tried, accepted) = program(y, params, t, {"step": 0.25})
    assert tensor_of(states)[1].tolist() == [pytest.approx([0.75**4] * 2)] and not math.isclose(0.75**4, math.exp(-1))
    assert int(tried) == int(accepted) == 4


def test_equal_fields_are_compiled_once():
    (one, y0, _), (two, *_) = decay_on("cpu"), decay_on("cpu")
    assert compiled(jax_field(one, y0), EULER, "states") is compiled(jax_field(two, y0), EULER, "states")
    assert compiled(jax_field(one, y0), EULER, "open") is not compiled(jax_field(one, y0), EULER, "states")
