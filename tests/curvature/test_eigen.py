"""The eigenbasis of Kronecker factors: its inverse, and the nearest matrix that is diagonal in it."""

from __future__ import annotations

import pytest
import torch

import odecheck
from odecheck.curvature import Eigenbasis, Factors, exact_blocks
from tests.curvature.solves import D, Dense, backward_of, made


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


def factors(seed: int = 0) -> Factors:
    torch.manual_seed(seed)
    a, b = torch.randn(5, 3, dtype=D), torch.randn(6, 2, dtype=D)
    return Factors(a.T @ a, b.T @ b)


def test_a_preconditioned_gradient_is_the_dense_damped_solve():
    found, gradient = factors(), torch.randn(2, 3, dtype=D)
    basis = Eigenbasis.of(found)
    torch.testing.assert_close(basis.dense(), found.dense(), rtol=1e-12, atol=1e-12)
    expected = torch.linalg.solve(found.dense() + 0.1 * torch.eye(6, dtype=D), gradient.flatten()).view(2, 3)
    torch.testing.assert_close(basis.precondition(gradient, 0.1), expected, rtol=1e-10, atol=1e-12)
    wrong = Eigenbasis.of(Factors(found.A, 1.001 * found.B)).precondition(gradient, 0.1)
    assert (wrong - expected).abs().max() > 1e-5


def test_eigenvalues_below_zero_count_as_none():
    basis = Eigenbasis.of(Factors(torch.diag(torch.tensor([-1.0, 2.0])), torch.diag(torch.tensor([3.0, -4.0]))))
    assert basis.spectrum.tolist() == [[0, 0], [0, 6]]  # the smallest first


def test_a_reestimated_spectrum_is_the_mean_of_squares_in_the_basis():
    """Σ over the rank, a mean over samples; in the unit basis it is that of the gradients themselves."""
    unit = Eigenbasis.of(Factors(torch.eye(3, dtype=D), torch.eye(2, dtype=D)))
    gradients = torch.randn(2, 4, 2, 3, dtype=D)
    seen = unit.outputs.abs().T @ gradients.square().mean(1).sum(0) @ unit.columns.abs()
    torch.testing.assert_close(unit.reestimated(gradients).spectrum, seen)
