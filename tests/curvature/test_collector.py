"""Gathering leaves modules and gradients alone, says what it cannot do, and its eigenbases are the nearest."""

from __future__ import annotations

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
import torch
import torchdiffeq
from torch import nn

import odecheck
from odecheck.curvature import Eigenbasis, Gather, KroneckerSums, exact_blocks, kronecker_factors
from odecheck.errors import CurvatureError
from tests.curvature.test_kronecker import D, Dense, backward_of, each_solve, made


@pytest.mark.parametrize("name", ["implicit_adams", "explicit_adams", "scipy_solver"])
def test_a_method_without_weights_is_refused_and_its_gradient_left_alone(name):
    field, y0 = made(Dense, 3, 2)
    how = {"options": {"solver": "RK45"}} if name == "scipy_solver" else {"options": {"step_size": 0.05}}
    backward = backward_of(torchdiffeq.odeint_adjoint, field, y0, method=name, **how)
    with pytest.raises(CurvatureError, match=r"linear multistep|scipy_solver"):
        kronecker_factors(field, backward)
    assert field.first.weight.grad is not None


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


def test_layers_outside_of_solves():
    """The factors of one call: A = E z zᵀ, B = E g gᵀ."""
    field, y0 = made(Dense, 3, 2)
    model = nn.ModuleDict({"before": nn.Linear(2, 2), "field": field, "after": nn.Linear(2, 3)}).to(D)
    t = torch.tensor([0.0, 1.0], dtype=D)
    label = torch.tensor([0, 2, 1])

    def backward() -> None:
        y = torchdiffeq.odeint_adjoint(field, model["before"](y0), t)[-1]
        nn.functional.cross_entropy(model["after"](y), label).backward()

    found = kronecker_factors(model, backward, layers="all")
    assert set(found) == {"before", "after", "field.first", "field.again", "field.last"}
    y = torchdiffeq.odeint_adjoint(field, model["before"](y0), t)[-1].detach()
    z = torch.cat([y, torch.ones(3, 1, dtype=D)], 1)
    g = model["after"](y).softmax(1) - nn.functional.one_hot(label, 3)
    torch.testing.assert_close(found["after"].A, z.T @ z / 3, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found["after"].B, g.T @ g / 3, rtol=1e-12, atol=1e-14)
    assert set(kronecker_factors(model, backward)) == {"field.first", "field.again", "field.last"}


def test_the_nearest_matrix_that_is_diagonal_in_the_basis():
    """EKFAC is never further from the exact block than A ⊗ B, and its diagonal in the basis is the block's."""
    field, y0 = made(Dense, 4, 2)
    blocks = exact_blocks(field, backward_of(odecheck.odeint, field, y0))
    for found in blocks.values():
        plain = Eigenbasis.of(found.factors)
        better = plain.reestimated(found.integrals)
        exact = found.exact()
        assert torch.linalg.norm(exact - better.dense()) <= torch.linalg.norm(exact - plain.dense()) * (1 + 1e-12)
        basis = torch.kron(plain.outputs, plain.columns)
        torch.testing.assert_close(
            better.spectrum.flatten(), (basis.T @ exact @ basis).diagonal(), rtol=1e-9, atol=1e-14
        )
        torch.testing.assert_close(better.dense().trace(), exact.trace(), rtol=1e-10, atol=0)
        split = found.split()
        assert 0 < split.total <= split.time + split.samples


def test_of_one_sample_the_error_is_of_second_order_in_the_length():
    """A ⊗ B is exact for z and g constant in time: its relative error falls with the square of T − t0."""
    field, y0 = made(Dense, 1, 2)
    errors = []
    for length in (0.2, 0.1, 0.05):
        times = (0.0, length)
        found = exact_blocks(
            field, backward_of(odecheck.odeint, field, y0, times, method="dopri8", rtol=1e-12, atol=1e-14)
        )
        split = found["first"].split()
        assert split.samples < 1e-12
        errors.append(split.total)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.15)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.08)


def test_a_peer_on_the_unrolled_solve_loses_most_of_the_trace():
    """curvlinops' EKFAC on a layer that is called 40 times: a measured finding, not a bound that we promise."""
    pytest.importorskip("curvlinops")
    from odecheck.studies.curvature import peers

    for found in peers():
        assert found.ratios["curvlinops EKFAC"] < 0.05
        assert found.ratios["A ⊗ B, spectrum re-estimated"] == pytest.approx(
            1.0, abs=0.03
        )  # Euler's steps off by as much
        assert found.ratios["A ⊗ B"] == pytest.approx(found.ratios["curvlinops KFAC, expand"], rel=0.03)
