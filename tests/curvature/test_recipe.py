"""The right method is the one that is shipped, part by part."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import odecheck
from odecheck.curvature import Eigenbasis, Factors, KroneckerSums, exact_blocks
from odecheck.curvature.recipe import RIGHT
from tests.curvature.solves import D, Dense, backward_of, made


def test_factors_are_taken_as_they_are():
    found = Factors(torch.eye(2), torch.eye(3))
    assert RIGHT.factors(found, 5) is found
    assert isinstance(RIGHT.sums(), KroneckerSums) and RIGHT.sums() is not RIGHT.sums()
    assert not RIGHT.last_interval


def test_a_step_is_the_damped_solve_and_a_spectrum_the_second_moment():
    field, y0 = made(Dense, 3, 2)
    found = exact_blocks(field, backward_of(odecheck.odeint, field, y0, rtol=1e-4, atol=1e-6))["first"]
    factors, gradient = found.factors, torch.randn(4, 4, dtype=D)
    damped = factors.dense() + 0.1 * torch.eye(16, dtype=D)
    expected = torch.linalg.solve(damped, gradient.flatten()).view(4, 4)
    torch.testing.assert_close(RIGHT.precondition(factors, gradient, 0.1), expected, rtol=1e-9, atol=1e-11)
    basis = Eigenbasis.of(factors)
    rotation = torch.kron(basis.outputs, basis.columns)
    diagonal = (rotation.T @ found.exact() @ rotation).diagonal().view(4, 4)
    torch.testing.assert_close(RIGHT.spectrum(basis, found), diagonal, rtol=1e-9, atol=1e-13)


def test_a_part_is_exchanged_and_the_others_stay():
    wrong = dataclasses.replace(RIGHT, factors=lambda factors, samples: Factors(samples * factors.A, factors.B))
    assert torch.equal(wrong.factors(Factors(torch.eye(2), torch.eye(3)), 5).A, 5 * torch.eye(2))
    assert wrong.precondition is RIGHT.precondition
    with pytest.raises(dataclasses.FrozenInstanceError):
        RIGHT.last_interval = True
