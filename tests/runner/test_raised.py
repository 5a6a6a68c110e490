"""What a field raises when it is called is told from its words."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from odecheck.runner.raised import cause_and_fix

T, Y = torch.tensor(0.0, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64)


def more(t, y, u):
    return y * u


CALLS = {
    "torch.set_default_dtype(torch.float64)": lambda: nn.Linear(3, 3)(Y),
    "inside the module is on another device": lambda: Y + torch.ones(3, device="meta"),
    "torch.enable_grad": lambda: torch.autograd.grad(Y.sum(), Y),
    "FILE.py:block.field": lambda: nn.Linear(3, 3)(T, Y),
    "functools.partial": lambda: more(T, Y),
    "of that shape: --state": lambda: Y @ Y,
}


@pytest.mark.parametrize("line", CALLS)
def test_the_words_of_an_exception_lead_to_the_line_to_type(line):
    with pytest.raises((RuntimeError, TypeError)) as raised:
        CALLS[line]()
    assert line in " ".join(cause_and_fix(raised.value))
