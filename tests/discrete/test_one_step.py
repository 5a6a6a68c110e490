"""The graphs of one step, and how long they are kept."""

from __future__ import annotations

import torch

from .oracle import Net, draw
from .test_compiled import Scaled, equal, solved


def test_a_trained_field_needs_no_new_graphs_and_gives_its_new_values() -> None:
    field, y0 = Net(), draw(3, 2)
    first = solved(field, y0, "graphs", "heun2").compiled
    with torch.no_grad():
        for p in field.parameters():
            p += 0.1
    again = solved(field, y0, "graphs", "heun2")
    assert first is not None and again.compiled is not None and again.compiled.graphs is first.graphs
    equal(again, solved(field, y0, False, "heun2"))


def test_a_changed_attribute_makes_graphs_of_its_own() -> None:
    field, y0 = Scaled(), draw(3, 2)
    solved(field, y0, "graphs", "heun2")
    field.factor = 2.0
    equal(solved(field, y0, "graphs", "heun2"), solved(field, y0, False, "heun2"))
