"""The study of a layer's curvature: its network, its unrolled twin and its page."""

from __future__ import annotations

import pytest
import torch

from odecheck.ode import odeint
from odecheck.studies import curvature


def test_the_unrolled_network_is_eulers_method_of_the_same_field() -> None:
    field, y0 = curvature.made()
    unrolled = curvature.Unrolled(field, 1.0)(y0)
    solved = odeint(field, y0, torch.tensor([0.0, 1.0], dtype=curvature.D), rtol=1e-9, atol=1e-11)[-1]
    scale = float((solved - y0).detach().abs().max())
    assert 0 < float((unrolled - solved).detach().abs().max()) < 3 / curvature.STEPS * scale  # of first order


def test_a_block_is_that_of_a_layer_and_of_its_length() -> None:
    field, y0 = curvature.made(1)
    long, short = (curvature.blocks(field, y0, end) for end in (0.5, 0.25))
    assert set(long) == set(short) == {"first", "last"}
    for name in long:  # halved, the error of one sample falls with the square of the length
        assert long[name].split().time / short[name].split().time == pytest.approx(4, rel=0.2), name


def test_the_page_has_a_column_for_each_way_and_a_row_for_each_layer() -> None:
    pytest.importorskip("curvlinops")
    text = curvature.to_markdown([curvature.Peer("first", 2.0, {"A ⊗ B": 1.25})])
    assert "| layer | exact trace | A ⊗ B |" in text and "| first | 2 | 1.25 |" in text
    assert text.count("| last | 3 | ") == 4
