"""What a training step of a model costs: the evaluations and steps of all its fields, by the phase of the step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import nn

from odecheck.instruments.step_counts import Counter, Phase, attach


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
        self.counter = Counter()
        self.counter.now = self.counter.nowhere
        for field in fields:
            attach(field, self.counter)

    @contextmanager
    def phase(self, phase: Literal["forward", "backward"]) -> Iterator[None]:
        self.counter.now = self.counter.forward if phase == "forward" else self.counter.backward
        try:
            yield
        finally:
            self.counter.now = self.counter.nowhere

    def taken(self) -> dict[str, int]:
        """The counts since the last call: nfe_forward, accepted_forward, rejected_forward, and the same backward."""
        counter = self.counter
        counts = {**_named(counter.forward, "forward"), **_named(counter.backward, "backward")}
        counter.forward, counter.backward, counter.nowhere = Phase(), Phase(), Phase()
        counter.now = counter.nowhere
        return counts


def _named(phase: Phase, direction: str) -> dict[str, int]:
    counts = {"nfe": phase.nfe, "accepted": len(phase.accepted), "rejected": phase.rejected}
    return {f"{name}_{direction}": count for name, count in counts.items()}
