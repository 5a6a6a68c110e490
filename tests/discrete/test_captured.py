"""A captured function, split by what its operations depend on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx

from odecheck.discrete.captured import Run, capture, split

from .oracle import draw


def function(x: Tensor, dx: Tensor, adjoint: Tensor, second: Tensor) -> tuple[Tensor, ...]:
    y = torch.tanh(x)
    slope = 1 - y * y
    return y.exp(), slope * dx, (slope * adjoint).t(), second * adjoint * dx - y


def kept(graph: fx.GraphModule, _: list[Tensor]) -> Run:
    return lambda values: graph(*values)


def test_the_parts_together_give_the_function_and_repeat_what_is_cheap() -> None:
    given = [draw(2, 3, seed=i) for i in range(4)]
    graph = capture(function, given)
    names = [node.name for node in graph.graph.nodes if node.op == "placeholder"]
    parts = split(graph, dict(zip(names, (0, 1, 2, 4), strict=True)), (0, 1, 2, 3), kept)
    values, found = dict(zip(names, given, strict=True)), []
    for part in parts.values():
        results, more = part(values)
        found += results
        values |= more
    assert all(torch.equal(a, b) for a, b in zip(found, function(*given), strict=True))
    # the step keeps tanh(x) alone: 1 - tanh(x)² is made again from it
    assert len(parts["step"].writes) == 2 and parts["adjoint"].results == 1


def test_a_part_that_would_need_a_later_one_is_refused() -> None:
    given = [draw(2, 3, seed=i) for i in range(4)]
    graph = capture(function, given)
    names = [node.name for node in graph.graph.nodes if node.op == "placeholder"]
    with pytest.raises(ValueError, match="of the part 'tangent' comes from 'adjoint'"):
        split(graph, dict(zip(names, (0, 2, 2, 4), strict=True)), (0, 1, 2, 3), kept)


def test_a_convolution_is_pulled_back_without_what_it_does_not_need() -> None:
    def pulled(x: Tensor, weight: Tensor, adjoint: Tensor) -> tuple[Tensor, ...]:
        _, back = torch.func.vjp(lambda x, w: torch.conv1d(x, w), x, weight)
        return back(adjoint)

    given = draw(1, 2, 5), draw(3, 2, 3), draw(1, 3, 3)
    graph = capture(pulled, given)
    backward = [n for n in graph.graph.nodes if n.target is torch.ops.aten.convolution_backward.default]
    assert len(backward) == 2 and all(
        len([a for a in n.all_input_nodes if a.op == "placeholder"]) == 2 for n in backward
    )
    assert all((a - b).abs().max() < 1e-12 for a, b in zip(graph(*given), pulled(*given), strict=True))
