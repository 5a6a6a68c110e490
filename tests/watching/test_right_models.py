"""Right models: watching changes nothing, bit for bit, and finds nothing."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import odecheck
from odecheck.watching.held import Held
from odecheck.watching.step import watch

from . import more_right_models, right_blocks, right_modules
from .right_models import MODELS

assert more_right_models.__doc__ and right_blocks.__doc__ and right_modules.__doc__


def gradients(step):
    """The gradients of every tensor that a step reaches, and the state of all random numbers after it."""
    reached = Held(step, {}).tensors.values()
    grads = {
        kept.name: None if kept.tensor.grad is None else kept.tensor.grad.clone()
        for kept in reached
        if kept.tensor.is_leaf
    }
    values = {kept.name: kept.tensor.detach().clone() for kept in reached}
    return grads, values, torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002


def same(a, b):
    """Whether two of these are the same, bit by bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, torch.Tensor):
        return torch.equal(*(x if x.layout is torch.strided else x.to_dense() for x in (a, b)))
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_found_and_nothing_changes(name):
    torch.manual_seed(3)
    plain = MODELS[name]()
    plain()
    expected = gradients(plain)

    torch.manual_seed(3)
    watched = MODELS[name]()
    with watch(budget=60) as step:
        watched()
    in_the_step = gradients(watched)
    findings = step.findings
    afterwards = gradients(watched)

    assert all(same(a, b) for a, b in zip(in_the_step, expected, strict=True))
    assert all(same(a, b) for a, b in zip(afterwards, expected, strict=True))
    assert step.rows
    assert findings == []
    assert all(row.verdict is not odecheck.REFUTED for row in step.rows), str(step)


def test_every_solve_of_a_right_model_is_decided_except_events():
    modules = ("a_module_of_torchscript", "a_gradient_of_torch_func", "a_graph_with_a_sparse_buffer")
    modules += ("a_field_that_checks_its_state",)
    for name in ("classifier", "flow_with_divergence", "ode_rnn", "hamiltonian", "training_times", *modules):
        torch.manual_seed(0)
        run = MODELS[name]()
        with watch() as step:
            run()
        assert {row.verdict for row in step.rows} == {odecheck.HOLDS}, str(step)
