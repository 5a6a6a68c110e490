"""Heavy-ball models: the two conventions of signs are one model, and a damping damps."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from odecheck.fields import (
    GHBNODE,
    HBNODE,
    FieldError,
    Fixed,
    Free,
)
from tests.fields.models import D, inner


class Minus(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, t, h):
        return -self.inner(t, h)


@pytest.mark.parametrize("model", [HBNODE, GHBNODE])
def test_the_code_is_the_paper_with_m_and_f_negated(model):
    torch.manual_seed(0)
    f, h, m, t = inner(), torch.randn(4, D), torch.randn(4, D), torch.tensor(0.2)
    paper = model(f)(t, torch.cat([h, m], 1))
    code = model(Minus(f), signs="code")(t, torch.cat([h, -m], 1))
    flipped = torch.cat([code[:, :D], -code[:, D:]], 1)
    torch.testing.assert_close(paper, flipped, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("gamma", [0.0, -0.5, Fixed(-1.0), Free(0.0)])
def test_a_damping_that_does_not_damp_is_warned_of(gamma):
    with pytest.warns(UserWarning, match="not positive"):
        HBNODE(inner(), gamma)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HBNODE(inner(), 0.5)


def test_unknown_signs_are_refused():
    with pytest.raises(FieldError, match=r"'paper' .* or 'code'"):
        HBNODE(inner(), signs="both")


def test_values_of_the_published_formula():
    """h' = s(m), m' = −γ m + f − ξ h, number by number."""
    h, m, f = torch.tensor([[0.5, -2.0]]), torch.tensor([[0.25, 3.0]]), torch.tensor([[1.5, -0.75]])
    field = GHBNODE(lambda t, h: f, 0.5, 2.0, nn.Hardtanh(-1, 1))
    rate = field(torch.tensor(0.0), torch.cat([h, m], 1))
    expected = torch.tensor([[0.25, 1.0, -0.125 + 1.5 - 1.0, -1.5 - 0.75 + 4.0]])
    torch.testing.assert_close(rate, expected)
