"""Vector-Jacobian products for many directions."""

from __future__ import annotations

import torch

from odecheck.discrete.pulls import agree, pull

from .oracle import draw


def test_many_directions_in_one_call_or_in_groups_and_zeros_for_what_does_not_depend() -> None:
    x, other = draw(3).requires_grad_(), draw(2).requires_grad_()
    for directions in (1, 4, 20000):
        weights = draw(directions, 3)
        in_x, in_other = pull([x.sin(), x.detach()], [x, other], [weights, weights])
        assert torch.allclose(in_x, weights * x.cos(), rtol=1e-14) and not in_other.any()


def test_equal_to_round_off() -> None:
    a = draw(3)
    assert agree(a, a * (1 + 1e-13)) and not agree(a, a * (1 + 1e-11))
