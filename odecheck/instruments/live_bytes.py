"""How much memory the tensors of a computation take, counted exactly and without patching anything."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from odecheck.compat import StorageWeakRef, TorchDispatchMode, tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors made inside the block that are alive at the same time.

    peak: the largest number seen, in bytes. Tensors made before the block do not count. It counts what the program
    holds, not what the allocator has reserved, and is the same on every machine.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}
        self._bound = 0  # at least the bytes alive; exact after each look

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            if isinstance(made, Tensor) and made.layout == torch.strided:
                self._note(made)
        return result

    def _note(self, made: Tensor) -> None:
        storage = made.untyped_storage()
        reference = StorageWeakRef(storage)
        if reference.cdata in self._held:
            return
        size = storage.nbytes()
        self._held[reference.cdata] = (reference, size)
        self._bound += size
        if self._bound > self.peak:
            self._held = {key: entry for key, entry in self._held.items() if not entry[0].expired()}
            self._bound = sum(size for _, size in self._held.values())
            self.peak = max(self.peak, self._bound)
