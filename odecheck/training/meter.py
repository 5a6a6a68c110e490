"""Counts evaluations and steps without patching a solver: hooks on the fields, and torchdiffeq's callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

Phase = Literal["forward", "backward"]
# torchdiffeq's callbacks: attribute of the field → the count it belongs to
CALLBACKS = {
    "callback_accept_step": "accepted_forward",
    "callback_reject_step": "rejected_forward",
    "callback_accept_step_adjoint": "accepted_backward",
    "callback_reject_step_adjoint": "rejected_backward",
}


@dataclass
class Counts:
    """Evaluations of all fields of a model, and steps of their solvers."""

    nfe_forward: int = 0
    nfe_backward: int = 0
    accepted_forward: int = 0
    rejected_forward: int = 0
    accepted_backward: int = 0
    rejected_backward: int = 0


def fields_of(module: nn.Module) -> list[nn.Module]:
    """The fields of the layers that solve an ODE: modules with `field` and `solver`. Each once."""
    found = {
        id(layer.field): layer.field
        for layer in module.modules()
        if isinstance(getattr(layer, "field", None), nn.Module) and hasattr(layer, "solver")
    }
    return list(found.values())  # type: ignore[arg-type]


class Meter:
    """Counts the evaluations and steps of a model's fields in the phase that is on; none outside of a phase.

    Callbacks that a field has already, or that are set later on an outer module, go on being called.
    Raises ValueError for a model without a layer that solves an ODE.
    """

    def __init__(self, module: nn.Module) -> None:
        fields = fields_of(module)
        if not fields:
            raise ValueError("no module of the model has the attributes `field` and `solver`: nothing would be counted")
        self.counts = Counts()
        self._phase: Phase | None = None
        for field in fields:
            field.register_forward_pre_hook(self._evaluated)
            for name, count in CALLBACKS.items():
                setattr(field, name, self._stepped(count, getattr(field, name, None)))

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        self._phase = phase
        try:
            yield
        finally:
            self._phase = None

    def taken(self) -> Counts:
        """The counts since the last call."""
        counts, self.counts = self.counts, Counts()
        return counts

    def _evaluated(self, *_: object) -> None:
        if self._phase == "forward":
            self.counts.nfe_forward += 1
        elif self._phase == "backward":
            self.counts.nfe_backward += 1

    def _stepped(self, count: str, before: Callable[..., Any] | None) -> Callable[..., Any]:
        def callback(*args: Any) -> Any:
            if self._phase is not None:
                setattr(self.counts, count, getattr(self.counts, count) + 1)
            return before(*args) if before is not None else None

        return callback
