"""Random numbers that are drawn inside are not missing outside."""

import random

import numpy as np
import torch

from odecheck.watching.random_state import generators, untouched


def drawn():
    return float(torch.rand(())), random.random(), float(np.random.rand())  # noqa: NPY002


def test_the_program_draws_what_it_would_have_drawn():
    for seed in (torch.manual_seed, random.seed, np.random.seed):
        seed(3)
    first = drawn()
    for seed in (torch.manual_seed, random.seed, np.random.seed):
        seed(3)
    with untouched():
        assert drawn() == first
    assert drawn() == first


def test_a_state_of_before_is_begun_with_and_an_exception_puts_all_back():
    torch.manual_seed(0)
    before = generators()
    first, second = torch.rand(()), torch.rand(())
    torch.set_rng_state(before[0])
    torch.rand(())
    try:
        with untouched(before):
            assert torch.equal(torch.rand(()), first)
            raise KeyError
    except KeyError:
        pass
    assert torch.equal(torch.rand(()), second)
