"""Densities by flows: generated points, and training that lowers the loss."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from odecheck import tasks
from odecheck.errors import BadInput
from odecheck.tasks.flows import RADIUS, WIDTH, circle, gaussians, moons
from odecheck.training.loop import Training, Trial
from odecheck.training.task import Data


@pytest.mark.parametrize(
    ("name", "model", "optimizer"),
    [("moons", "CNF", "snopt"), ("moons", "CNF-Hutchinson", "adam"), ("gaussians", "CNF", "sgd")],
)
def test_training_lowers_the_loss_and_counts_evaluations(name: str, model: str, optimizer: str) -> None:
    task = tasks.find(name)
    setting = replace(task.setting(), tolerance=1e-3, epochs=2, evaluate_every=8)
    data = task.load(None, setting)
    training = Training(Trial(task, setting, model, optimizer, 0), data)
    with torch.no_grad():
        before = training.module(data.test[0])
    rows = list(training.rows())
    with torch.no_grad():
        gain = training.module(data.test[0]) - before
    # row by row on 1,000 rows that were not trained on: five standard errors
    assert float(gain.mean()) > 5 * float(gain.std()) / math.sqrt(1000)
    assert [row.step for row in rows if row.split == "train"] == list(range(1, 17))
    assert all(not row.message and math.isfinite(row.loss) for row in rows)
    for row in rows:
        # dopri5: six evaluations for each step, two at the start
        assert row.nfe_forward == (row.accepted_forward + row.rejected_forward) * 6 + 2
        assert row.split == "test" or row.nfe_backward == (row.accepted_backward + row.rejected_backward) * 6 + 2
    assert rows[0].parameters == 9224 and rows[-1].split == "test"


def test_no_model_beats_the_entropy_of_the_mixture() -> None:
    """The truth's own mean of −log p is the entropy that the docstring states, within five standard errors."""
    x = gaussians(20_000, torch.Generator().manual_seed(3)).double()
    angle = torch.arange(8) * (math.pi / 4)
    centres = 2.0 * torch.stack([angle.cos(), angle.sin()], dim=1).double()
    square = ((x[:, None] - centres) ** 2).sum(-1) / (2 * WIDTH**2)
    surprise = -(torch.logsumexp(-square, 1) - math.log(8 * 2 * math.pi * WIDTH**2))
    entropy = math.log(8) + math.log(2 * math.pi * math.e * WIDTH**2)
    # less than 1e-3 of overlap takes less than 1e-3·ln 8 away
    assert abs(float(surprise.mean()) - entropy) < 5 * float(surprise.std()) / math.sqrt(20_000) + 2e-3


def test_moons_lie_on_their_half_circles() -> None:
    x = moons(1000, torch.Generator().manual_seed(0)) + torch.tensor([0.5, 0.25])
    upper = torch.arange(1000) % 2 == 0
    to_upper = (x.square().sum(1).sqrt() - 1).abs()
    to_lower = ((x - torch.tensor([1.0, 0.5])).square().sum(1).sqrt() - 1).abs()
    assert float(to_upper[upper].max()) < 0.5 and float(to_lower[~upper].max()) < 0.5
    assert 0.05 < float(to_upper[upper].std() + to_lower[~upper].std()) / 2 < 0.1


def test_rows_are_the_same_in_every_call_and_test_rows_are_others() -> None:
    task = tasks.find("moons")
    one, two = task.load(None, task.setting()), task.load(None, task.setting())
    assert torch.equal(one.train[0], two.train[0]) and torch.equal(one.test[0], two.test[0])
    assert one.train[0].shape == (2000, 2) and one.test[0].shape == (1000, 2)
    assert not {tuple(row) for row in one.test[0].tolist()} & {tuple(row) for row in one.train[0].tolist()}


def test_without_a_data_directory_the_answer_says_what_to_type() -> None:
    for name in ("miniboone", "gas"):
        task = tasks.find(name)
        assert all(setting.needs_data for setting in task.settings)
        with pytest.raises(BadInput, match="no data directory"):
            task.load(None, task.setting())
    with pytest.raises(BadInput, match="no model 'NODE'"):
        tasks.find("moons").build("NODE", tasks.find("moons").setting(), Data((torch.zeros(1, 2),), ()))


def test_a_circle_is_as_wide_as_it_says() -> None:
    """20,000 points: radius and noise to five standard errors, in every quarter as many."""
    x = circle(20_000, torch.Generator().manual_seed(0)).double()
    radius = x.norm(dim=1)
    assert float(radius.mean()) == pytest.approx(RADIUS + 0.01 / (2 * RADIUS), abs=5 * 0.1 / math.sqrt(20_000))
    assert float(radius.std()) == pytest.approx(0.1, rel=5 / math.sqrt(40_000))
    quarters = torch.stack([(x[:, 0] > 0) & (x[:, 1] > 0), (x[:, 0] < 0) & (x[:, 1] < 0)]).double().mean(dim=1)
    assert quarters.tolist() == pytest.approx([0.25, 0.25], abs=5 * math.sqrt(0.1875 / 20_000))
