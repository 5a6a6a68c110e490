"""What is compared with torchode: its own steps of the same field, every row with steps of its own, backpropagated."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from torch import Tensor, nn

RTOL, ATOL = 1e-6, 1e-9


def solver(field: nn.Module, t: Tensor) -> Callable[[Tensor], Tensor] | None:
    """y0 (batch, state) → states (times, batch, state), attached to torch's graph; None where it is not installed."""
    if find_spec("torchode") is None:
        return None
    from odecheck.engines.torchode import Solve

    whole: Any = Solve("AutoDiffAdjoint")
    return lambda y0: whole(field, y0, t, method="dopri5", options={}, rtol=RTOL, atol=ATOL)
