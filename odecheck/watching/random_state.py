"""The random numbers of a program, kept and put back: of torch, of Python and of numpy."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def generators() -> list[Tensor]:
    """The states of torch's generators: the CPU's, then those of the GPUs that are in use."""
    used = torch.cuda.is_available() and torch.cuda.is_initialized()
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if used else ())]


def _put_back(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if states[1:]:
        torch.cuda.set_rng_state_all(states[1:])


def drawn_so_far() -> tuple[object, ...]:
    """What tells whether somebody has drawn: the states of torch, Python and numpy, as values to compare."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - users' fields draw from it
    states = [state.numpy().tobytes() for state in generators()]
    return *states, random.getstate(), name, np.asarray(keys).tobytes(), *rest


@contextmanager
def untouched(at: list[Tensor] | None = None) -> Generator[None]:
    """Whatever is drawn inside is not missing outside. at: torch's state to begin with, by default that of now."""
    kept = generators(), random.getstate(), np.random.get_state()  # noqa: NPY002 - users' fields draw from it
    try:
        if at is not None:
            _put_back(at)
        yield
    finally:
        _put_back(kept[0])
        random.setstate(kept[1])
        np.random.set_state(kept[2])  # noqa: NPY002
