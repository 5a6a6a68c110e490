"""Recording a solve."""

from __future__ import annotations

import pytest
import torch

from odecheck.discrete import gradient, record

from .oracle import Net, draw


@pytest.mark.parametrize("more", [{"checkpoint": True}, {"route": "sweep"}])
def test_compiled_steps_are_a_route_of_their_own(more: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a route of their own"):
        record(Net(), draw(3, 2), torch.tensor([0.0, 1.0]).double(), compile=True, **more)  # type: ignore[arg-type]


class Detached(Net):
    """A field that autograd cannot follow."""

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return super().forward(t, torch.from_numpy(y.numpy()))


def test_a_gradient_keeps_the_graph_of_the_solve_where_that_is_cheapest_and_possible() -> None:
    t, y0 = torch.tensor([0.0, 1.0]).double(), draw(16, 16)
    wide = record(Net(16, 128), y0, t, method="euler")
    assert wide.graph is not None and record(Net(16, 128), y0, t, method="euler", checkpoint=True).graph is None
    found = gradient(wide, lambda y: y[-1].square().sum())
    for route in ("sweep", "blocks"):
        other = gradient(record(Net(16, 128), y0, t, method="euler", route=route), lambda y: y[-1].square().sum())
        assert all((a - b).abs().max() < 1e-12 for a, b in zip(found.theta.values(), other.theta.values(), strict=True))
    with torch.no_grad():
        assert record(Detached(16, 128), y0, t, method="euler").graph is None
