"""Wrong recursions are refuted by the comparison with unrolled steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from odecheck.discrete import (
    derivatives,
)
from odecheck.discrete import (
    stage_points as points,
)
from tests.discrete.oracle import (
    ROUND_OFF,
    Net,
    draw,
    gaps,
    solve,
    times,
)


def without_second_order(patch: pytest.MonkeyPatch) -> None:
    second = points.Points.second

    def dropped(self, *given_, **named):  # type: ignore[no-untyped-def]
        states, gains = second(self, *given_, **named)
        return torch.zeros_like(states), [torch.zeros_like(gain) for gain in gains]

    patch.setattr(points.Points, "second", dropped)


def with_transposed_jacobian(patch: pytest.MonkeyPatch) -> None:
    blocks = points.Points.blocks
    patch.setattr(points.Points, "blocks", lambda self, rows: blocks(self, rows).mT.contiguous())  # type: ignore[arg-type]


def without_interior_observation(patch: pytest.MonkeyPatch) -> None:
    jumps = derivatives.Linearised.jumps

    def forgetful(self, index: int, cotangents: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        kept = cotangents.clone()
        kept[:, 1:-1] = 0
        return jumps(self, index, kept)

    patch.setattr(derivatives.Linearised, "jumps", forgetful)


@pytest.mark.parametrize("mutate", [without_second_order, with_transposed_jacobian, without_interior_observation])
def test_a_wrong_recursion_is_refuted(mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch) -> None:
    trajectory = solve("dopri5", Net(), draw(3, 2), times(0.0, 0.4, 1.0))
    assert max(gaps(trajectory)) < ROUND_OFF
    mutate(monkeypatch)
    assert max(gaps(trajectory)) > 1e6 * ROUND_OFF
