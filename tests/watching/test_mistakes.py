"""Each planted mistake of a user is named as what it is."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from odecheck.watching.kinds import KINDS, Weight
from odecheck.watching.step import watch

from . import mistakes_kept_in_words, mistakes_of_values, more_mistakes
from .mistakes import MISTAKES

assert mistakes_of_values.__doc__ and more_mistakes.__doc__ and mistakes_kept_in_words.__doc__

# advice, and noise where steps are fixed: all that is drawn among the mistakes
NOTES = {kind for kind, (weight, _) in KINDS.items() if weight is Weight.ADVICE} | {"noise in every evaluation"}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name):
    torch.manual_seed(0)
    kinds, make = MISTAKES[name]
    run = make()
    with watch(budget=60) as step:
        refused = kinds == ("changes its input",)  # torch itself refuses the backward solve of this one
        with pytest.raises(RuntimeError, match="in-place") if refused else nullcontext():
            run()
    found = {f.kind for row in step.rows for f in row.findings}
    notes = {f.kind for row in step.rows for f in row.notes}
    assert set(kinds) - NOTES <= found, str(step)
    assert set(kinds) & NOTES <= notes, str(step)
    assert found <= set(kinds), f"named as something else too: {found - set(kinds)}"


def test_there_are_enough_of_them():
    assert len(MISTAKES) >= 25
    assert len({kind for kinds, _ in MISTAKES.values() for kind in kinds}) >= 15
