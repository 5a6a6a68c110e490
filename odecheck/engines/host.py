"""Engines whose library computes outside torch, in the host's memory: what they say to a tensor on a GPU."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from odecheck.errors import Unsupported


def on_host(name: str, tensors: Iterable[Tensor]) -> None:
    """Raises Unsupported when a tensor is on another device than the CPU, which numpy cannot look at."""
    for one in tensors:
        if one.device.type != "cpu":
            raise Unsupported(f"{name} gets numpy's arrays here, and a tensor is on {one.device}: pose it on the CPU")
