"""Bytes alive at the same time, of a computation that can be counted by hand."""

import torch

from odecheck.instruments.live_bytes import LiveBytes


def made(count: int) -> torch.Tensor:
    return torch.zeros(count, dtype=torch.float64)


def test_the_peak_is_that_of_tensors_alive_together():
    with LiveBytes() as live:
        one = made(100)
        two = made(50)
        del two
        made(10)
    assert live.peak == 1200 and one.numel() == 100


def test_views_are_free_and_what_was_there_before_counts_only_where_it_is_handed_on():
    before = made(1000)
    with LiveBytes() as live:
        float(before.sum())
        twice = made(4).view(2, 2).T
        assert live.peak <= 64 and twice.numel() == 4
        view = before[2:]
    assert 8000 <= live.peak <= 8064 and view.numel() == 998


def test_what_died_gives_its_bytes_back():
    with LiveBytes() as live:
        for _ in range(20):
            made(100).sum()
    assert 800 <= live.peak < 2000
