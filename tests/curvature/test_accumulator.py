"""What a sink of one's own is handed: every call of a layer at the stages of accepted steps, with its weight."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from odecheck.curvature import Gather
from odecheck.curvature.accumulator import Stage
from odecheck.curvature.layers import Shape
from tests.curvature.solves import D, Dense, backward_of, each_solve, made


class Written:
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.stages: dict[nn.Module, list[tuple[Tensor, Stage]]] = {}
        self.outside: list[tuple[nn.Module, int]] = []

    def hold(self, layer: nn.Module, shape: Shape, z: Tensor, g: Tensor, samples: int) -> Tensor:
        assert z.shape[-1] == shape.inputs and g.shape[-1] == shape.outputs and samples == 3
        return g.mT @ z

    def along(self, layer: nn.Module, held: Tensor, stage: Stage) -> None:
        self.stages.setdefault(layer, []).append((held, stage))

    def once(self, layer: nn.Module, shape: Shape, z: Tensor, g: Tensor, passed: int) -> None:
        self.outside.append((layer, passed))


@each_solve
@pytest.mark.parametrize("times", [(0.0, 0.7, 1.5), (1.5, 0.6, 0.0)])
def test_weights_are_those_of_the_steps_and_their_sum_is_the_gradient(solve, times):
    field, y0 = made(Dense, 3, 2)
    sink = Written()
    gather = Gather(field, sink)
    with gather:
        backward_of(solve, field, y0, times, rtol=1e-4, atol=1e-6)()
    gather.finish()
    assert set(sink.stages) == {field.first, field.again, field.last} and not sink.outside
    for layer, stages in sink.stages.items():
        calls = 2 if layer is field.again else 1
        assert all((s.calls, s.samples) == (calls, 3) for _, s in stages)
        assert len({(s.direction, s.passed) for _, s in stages}) == 1
        assert times[0] > times[-1] or stages[0][1].direction == -1.0  # from the end back to the start
        assert sum(s.weight for _, s in stages) == pytest.approx(1.5 * calls, rel=1e-12)
        whole = sum((s.direction * s.weight * held for held, s in stages), torch.zeros((), dtype=D))
        torch.testing.assert_close(whole, layer.weight.grad, rtol=1e-10, atol=1e-12)


def test_calls_outside_of_solves_come_once_with_the_number_of_their_backward_pass():
    model, sink = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), Written()
    with Gather(model, sink, layers="all"):
        for _ in range(2):
            model(torch.ones(3, 2)).sum().backward()
    assert [layer for layer, _ in sink.outside] == 2 * [model[1], model[0]]
    (first, _), (second, _) = sink.outside[:2], sink.outside[2:]
    assert first[1] != second[1] and sink.outside[0][1] == sink.outside[1][1]
    assert not sink.stages
