"""Directions that derivatives are taken along."""

from __future__ import annotations

import pytest
import torch

from odecheck.discrete import record
from odecheck.discrete.results import checked_directions, named_parts

from .oracle import Net, draw


def test_a_parameter_left_out_does_not_move_and_a_stranger_is_refused() -> None:
    trajectory = record(Net(), draw(3, 2), torch.tensor([0.0, 1.0]).double(), method="euler")
    y, along = checked_directions(trajectory, None, {"net.0.bias": draw(2, 4)})
    assert along is not None and y.shape == (2, 6) and not y.any()
    parts = named_parts(trajectory, along)
    assert [name for name, part in parts.items() if part.any()] == ["net.0.bias"]
    for y0, theta in ((None, None), (draw(2, 3, 2), {"net.0.bias": draw(1, 4)}), (None, {"w": draw(1, 4)})):
        with pytest.raises(ValueError, match=r"directions need|no parameters \['w'\]"):
            checked_directions(trajectory, y0, theta)
