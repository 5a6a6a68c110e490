"""The bundled digits."""

from __future__ import annotations

import math

import pytest
import torch

from odecheck import tasks
from odecheck.errors import BadInput
from odecheck.tasks import images


def test_the_digits_are_all_there() -> None:
    train, test = images.digits()
    assert (len(train[0]), len(test[0])) == (1437, 360)
    assert train[0].shape[1:] == (1, 8, 8) and train[0].max() == 1.0
    assert set(test[1].tolist()) == set(range(10))
    pixels = torch.cat([train[0], test[0]]).flatten(1)
    assert len(torch.unique(pixels, dim=0)) == 1797  # no image in both


def test_a_tenth_is_right_by_chance_and_the_loss_is_that_of_ten_classes() -> None:
    """Of a model that answers nothing: cross entropy ln 10."""
    task = tasks.find("digits")
    x, y = images.digits().train

    class Silent(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.new_zeros(len(x), 10)

    outcome = task.loss(Silent(), (x, y))
    assert float(outcome.loss) == pytest.approx(math.log(10))
    assert outcome.right is not None and float(outcome.right) == pytest.approx(float((y == 0).float().mean()))


def test_the_model_of_another_task_is_refused() -> None:
    task = tasks.find("digits-conv")
    with pytest.raises(BadInput, match="no model 'NODE'"):
        task.build("NODE", task.setting(), images.digits())
