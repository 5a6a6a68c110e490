"""How many bytes autograd holds for a backward pass, counted exactly."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from odecheck.compat import physical


class _Held:
    """The storages that are held, each counted once."""

    def __init__(self) -> None:
        self.users: dict[int, int] = {}
        self.now = self.peak = 0

    def take(self, key: int, size: int) -> None:
        if key not in self.users:
            self.now += size
            self.peak = max(self.peak, self.now)
        self.users[key] = self.users.get(key, 0) + 1

    def give(self, key: int, size: int) -> None:
        self.users[key] -= 1
        if not self.users[key]:
            del self.users[key]
            self.now -= size


class _Saved:
    """A saved tensor; alive as long as autograd wants it."""

    def __init__(self, x: Tensor, held: _Held) -> None:
        # detached, because an operation that saves its own result would otherwise keep itself alive
        self.x, self.held = x.detach(), held
        self.what = _storage(x)
        held.take(*self.what)

    def __del__(self) -> None:
        self.held.give(*self.what)


def _storage(x: Tensor) -> tuple[int, int]:
    """Where the data of a tensor lies, and its bytes; a tensor of zeros that has no data has none."""
    try:
        storage = physical(x).untyped_storage()
        return storage.data_ptr(), storage.nbytes()
    except (NotImplementedError, RuntimeError):
        return 0, 0


def saved_bytes(run: Callable[[], object]) -> float:
    """The most bytes of tensors that autograd held at once while `run` ran. Tensors that share a storage count once.

    Raises RuntimeError inside torch.func's transforms, which allow no such hooks.
    """
    held = _Held()
    with torch.autograd.graph.saved_tensors_hooks(lambda x: _Saved(x, held), lambda saved: saved.x):
        run()
    return float(held.peak)
