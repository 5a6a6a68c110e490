"""Fields that captured operations would not repeat, and what a capture holds fast."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from odecheck.discrete import NotCompiled, Trajectory, gradient, record
from odecheck.discrete.capturable import attributes

from .oracle import Net, draw


def solved(field: nn.Module, parameters: dict[str, Tensor] | None = None) -> Trajectory:
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    return record(field, draw(3, 2), t, method="euler", parameters=parameters, compile="graphs")


class Dropped(Net):
    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(t, y), 0.5, self.training)


class Branching(Net):
    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return super().forward(t, y) * (2 if t > 0.5 else 1)


class Counting(Net):
    count = 0

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        self.count += 1
        return super().forward(t, y)


class Normed(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2).double()

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return super().forward(t, self.norm(y))


def _hooked() -> nn.Module:
    field = Net()
    field.net.register_forward_hook(lambda *_: None)
    return field


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (Dropped, "random"),
        (Branching, "cannot be captured"),
        (Counting, "a call changes the field's own count"),
        (Normed, "training mode"),
        (_hooked, "hooks"),
        (lambda: lambda t, y: -y, "a function"),
    ],
)
def test_what_a_graph_would_not_repeat_is_refused_in_words(made: Callable[[], nn.Module], why: str) -> None:
    with pytest.warns(NotCompiled, match=why):
        assert solved(made()).compiled is None


def test_a_parameter_of_nobody_is_refused() -> None:
    with pytest.warns(NotCompiled, match=r"\['w'\] are none of the field's own"):
        assert solved(Net(), {"w": torch.ones(2, requires_grad=True)}).compiled is None


def test_evaluation_mode_is_taken() -> None:
    assert solved(Dropped().eval()).compiled is not None
    assert solved(Normed().eval()).compiled is not None


def test_what_a_capture_holds_fast() -> None:
    field = Counting()
    before = attributes(field)
    field.callback_step = print  # type: ignore[assignment]
    assert attributes(field) == before
    field.sizes = [1, {"a": torch.ones(2)}]  # type: ignore[assignment]
    with_sizes = attributes(field)
    field.sizes[1]["a"] += 1  # type: ignore[index, operator]
    assert len({before, with_sizes, attributes(field), attributes(field.eval())}) == 4


def test_a_buffer_changed_since_is_refused() -> None:
    field = Normed().eval()
    found = solved(field)
    field.norm.running_mean += 1  # type: ignore[operator]
    with pytest.raises(ValueError, match="running_mean changed in place"):
        gradient(found, lambda y: y.sum())
