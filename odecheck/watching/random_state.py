"""The random numbers of a program, kept and put back: of torch, of Python and of numpy."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def drawn_so_far() -> tuple[object, ...]:
    """What tells whether somebody has drawn: the states of torch, Python and numpy, as values to compare."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - users' fields draw from it
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), name, np.asarray(keys).tobytes(), *rest


@contextmanager
def untouched(at: Tensor | None = None) -> Generator[None]:
    """Whatever is drawn inside is not missing outside. at: torch's state to begin with, by default that of now."""
    kept = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002 - users' fields draw from it
    devices = [torch.cuda.get_rng_state_all()] if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    try:
        if at is not None:
            torch.set_rng_state(at)
        yield
    finally:
        torch.set_rng_state(kept[0])
        random.setstate(kept[1])
        np.random.set_state(kept[2])  # noqa: NPY002
        for state in devices:
            torch.cuda.set_rng_state_all(state)
