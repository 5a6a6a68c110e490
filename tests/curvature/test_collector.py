"""Gathering leaves modules and gradients alone, and says what it cannot do."""

from __future__ import annotations

import copy
import io
import pickle
import warnings

import pytest
import torch
import torchdiffeq

import odecheck
from odecheck.curvature import Gather, KroneckerSums, kronecker_factors
from odecheck.errors import CurvatureError
from tests.curvature.solves import D, Dense, backward_of, each_solve, made


def test_what_was_not_an_adjoint_solve_is_refused():
    field, y0 = made(Dense, 3, 2)
    with pytest.raises(CurvatureError, match="backpropagated through its steps"):
        kronecker_factors(field, backward_of(torchdiffeq.odeint, field, y0))
    with pytest.raises(CurvatureError, match="no ODE solve was seen"):
        kronecker_factors(field, lambda: field(torch.zeros(()), y0).sum().backward())
    with pytest.raises(CurvatureError, match="no adjoint solve"):
        kronecker_factors(field, lambda: odecheck.odeint(field, y0, torch.tensor([0.0, 1.0], dtype=D)))


@each_solve
def test_the_module_is_left_as_it_was(solve):
    field, y0 = made(Dense, 3, 2)
    calls = []
    field.callback_accept_step_adjoint = lambda *a: calls.append(a)
    before = {m: (dict(vars(m)), [len(h) for h in (m._forward_hooks, m._forward_pre_hooks)]) for m in field.modules()}
    filters = list(warnings.filters)
    gather = Gather(field, KroneckerSums()).install()
    backward_of(solve, field, y0)()
    twin = copy.deepcopy(field)
    again = pickle.loads(pickle.dumps(twin))
    assert all(len(m._forward_hooks) for m in (field.first, field.last))
    gather.remove()
    gather.finish()
    assert calls, "the user's own callback was not called"
    assert warnings.filters == filters
    for module, (attributes, hooks) in before.items():
        assert dict(vars(module)) == attributes
        assert [len(h) for h in (module._forward_hooks, module._forward_pre_hooks)] == hooks
    for copied in (twin, again):
        steps = len(calls)
        backward_of(solve, copied, y0)()
        assert len(calls) == steps
    buffer = io.BytesIO()
    torch.save(field.first, buffer)


@each_solve
@pytest.mark.parametrize("method", ["dopri5", "rk4"])
def test_the_gradient_is_the_ordinary_one_bit_for_bit(solve, method):
    for dtype in (torch.float32, D):
        field, y0 = made(Dense, 3, 2)
        field, y0 = field.to(dtype), y0.to(dtype)
        how = {"rtol": 1e-3, "atol": 1e-3} if method == "dopri5" else {"options": {"step_size": 0.1}}
        backward = backward_of(solve, field, y0, method=method, **how)
        backward()
        ordinary = [p.grad.clone() for p in field.parameters()]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            kronecker_factors(field, backward)
        assert all(torch.equal(p.grad, g) for p, g in zip(field.parameters(), ordinary, strict=True))
