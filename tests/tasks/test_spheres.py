"""Nested spheres: a disc, a ring, and nothing between them."""

from __future__ import annotations

import torch

from odecheck import tasks
from odecheck.tasks.spheres import points


def test_points_are_in_the_disc_or_in_the_ring_uniform_by_area() -> None:
    x, target = points(20_000, torch.Generator().manual_seed(0))
    radius = x.norm(dim=1)
    inside = target[:, 0] < 0
    assert int(inside.sum()) == 10_000
    assert float(radius[inside].max()) <= 0.5
    assert float(radius[~inside].min()) >= 0.85 and float(radius[~inside].max()) <= 1.0 + 1e-6
    # the mean of r² by area is (a² + b²) / 2
    for part, low, high in ((inside, 0.0, 0.5), (~inside, 0.85, 1.0)):
        square = radius[part] ** 2
        assert abs(float(square.mean()) - (low**2 + high**2) / 2) < 5 * float(square.std()) / 100


def test_rows_are_the_same_in_every_call_and_test_rows_are_others() -> None:
    task = tasks.find("spheres")
    one, two = task.load(None, task.setting()), task.load(None, task.setting())
    assert torch.equal(one.train[0], two.train[0]) and len(one.train[0]) == 50
    assert not {tuple(row) for row in one.test[0].tolist()} & {tuple(row) for row in one.train[0].tolist()}
