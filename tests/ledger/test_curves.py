"""Ratios of losses along the CPU time, on curves whose ratio is known."""

from __future__ import annotations

import math

import pytest

from odecheck.ledger.curves import ahead, ratios
from odecheck.training.rows import Row, frame


def training(optimizer: str, seed: int, rate: float, seconds: float = 1.0) -> list[Row]:
    """A loss that falls as exp(−rate · step), a step taking `seconds`; seeds differ by their beginning alone."""
    about = ("t", "M", optimizer, 0.1, seed, 9)
    rows = list[Row]()
    for step in range(1, 41):
        loss = math.exp(0.1 * seed - rate * step)
        rows.append(Row(*about, step, 1, "train", loss, cpu_seconds=seconds * step))
        if step % 10 == 0:
            rows.append(Row(*about, step, 1, "test", 2 * loss, cpu_seconds=seconds * step))
    return rows


def made(seconds: float = 1.0):
    return frame([r for s in range(4) for r in training("snopt", s, 0.2, seconds) + training("adam", s, 0.1)])


def test_at_equal_time_the_ratio_is_that_of_the_curves() -> None:
    points = ratios(made(), "snopt", "adam", split="test", points=4)
    assert [p.ratio for p in points] == pytest.approx([math.exp(-0.1 * k) for k in (10, 20, 30, 40)])
    assert all(p.low == pytest.approx(p.high) and p.n == 4 for p in points)
    assert ahead(points) == "ahead at 4 of 4 times"


def test_a_step_that_takes_four_times_as_long_is_behind_at_equal_time() -> None:
    """After 40 s it has made 10 steps of 0.2, and the other 40 of 0.1."""
    points = ratios(made(4.0), "snopt", "adam", split="test", points=4)
    assert points[-1].ratio == pytest.approx(math.exp(4.0 - 2.0)) and points[-1].seconds == 40.0
    assert "behind at" in ahead(points) and "ahead at" not in ahead(points)


def test_training_losses_are_means_over_a_tenth_of_the_way() -> None:
    last = ratios(made(), "snopt", "adam", points=10)[-1]
    mine, theirs = (sum(math.exp(-rate * k) for k in range(36, 41)) for rate in (0.2, 0.1))
    assert last.ratio == pytest.approx(mine / theirs)
    assert ahead([]) == "neither ahead nor behind for sure at any of 0 times"
