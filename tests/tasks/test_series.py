"""Irregular series and what is forecast of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from odecheck import tasks
from tests.tasks.silverbox_csv import csv


def test_sequences_forecast_what_follows_them(tmp_path) -> None:
    """From a file in the format of the real one: times are row numbers, forecasts are consecutive rows."""
    csv(tmp_path, 4000)
    task = replace(tasks.find("silverbox"), rows=4000)
    light = task.setting("light")
    (t, x, mask), (tested, *_) = task.load(tmp_path, light)
    assert t.shape[1] == light.more["seen"] + light.more["ahead"] and x.shape[2] == 2
    assert (t.diff(dim=1) >= 1).all() and (t[:, -9:].diff(dim=1) == 1).all()
    assert t.diff(dim=1)[:, :15].float().mean() == pytest.approx(1 / 0.9, rel=0.05)
    assert mask.sum(dim=1).unique().tolist() == [16]
    assert len(t) / len(tested) == pytest.approx(2, rel=0.05)  # 50 and 25 per cent
    assert t.shape == mask.shape
