"""Recording a solve."""

from __future__ import annotations

import pytest
import torch

from odecheck.discrete import record

from .oracle import Net, draw


@pytest.mark.parametrize("more", [{"checkpoint": True}, {"route": "sweep"}])
def test_compiled_steps_are_a_route_of_their_own(more: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a route of their own"):
        record(Net(), draw(3, 2), torch.tensor([0.0, 1.0]).double(), compile=True, **more)  # type: ignore[arg-type]
