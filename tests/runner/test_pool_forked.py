"""Forked workers, in a process that has computed with several threads."""

from __future__ import annotations

import pytest
import torch

from odecheck.runner.limits import Limits
from odecheck.runner.pool import Job, in_processes


def _shared_among_threads() -> float:
    return float(torch.tanh(torch.ones(2_000_000)).sum())


def test_a_forked_process_does_not_wait_for_threads_that_it_does_not_have():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = _shared_among_threads()  # the pool of threads is made here
        ((_, found),) = in_processes([Job("tanh", _shared_among_threads, limits=Limits(cpu=5.0))], 1, start="fork")
    finally:
        torch.set_num_threads(threads)
    assert found == pytest.approx(expected, rel=1e-5)
