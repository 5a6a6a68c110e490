"""Fresh models over a long time: the force between its rows, and the sequence that they are compared with."""

from __future__ import annotations

import pytest
import torch

from odecheck import tasks
from odecheck.tasks.silverbox_start import END, SCALE, Forced


def test_the_force_is_linear_between_its_rows_and_constant_outside() -> None:
    field = Forced(torch.tensor([0.0, 2.0, 4.0], dtype=torch.float64), 1, 1).double()
    with torch.no_grad():
        field.linear.weight[:] = torch.tensor([[0.0, 1.0]])
        field.linear.bias.zero_()
        h = torch.zeros(1, 1, dtype=torch.float64)
        seen = [float(field(torch.tensor(t, dtype=torch.float64), h)) for t in (-1.0, 0.0, 0.25, 1.5, 2.0, 9.0)]
    assert seen == [0.0, 0.0, 0.5, 3.0, 4.0, 4.0]


@pytest.mark.parametrize("model", ["NODE", "HBNODE"])
def test_a_trajectory_begins_a_hundred_times_outside(model: str) -> None:
    task = tasks.find("silverbox-start")
    setting = task.setting()
    data = task.load(None, setting)
    first, force, target = data.train
    assert force.shape == target.shape == (1, END + 1) and first.dtype == torch.float64
    assert float(first) == pytest.approx(SCALE * float(target[0, 0]))
    torch.manual_seed(0)
    module = task.build(model, setting, data)
    with torch.no_grad():
        said = module(first)
        loss = float(task.loss(module, data.train).loss)
    assert said.shape == (END + 1, 1) and float(said[0]) == pytest.approx(float(first))
    assert loss == pytest.approx(float((said[:, 0] - target[0]).square().mean()))
