"""A step of a project is watched, and what is not as it should be is said: a failure, a finding, a missed one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

from odecheck.studies.public_models import main, surprises, table, watched
from odecheck.studies.public_steps import STEPS, PublicStep

T = torch.tensor([0.0, 1.0])


def right(folder):
    field, y0 = nn.Linear(2, 2), torch.ones(3, 2)
    return lambda: odeint(lambda t, y: field(y), y0, T, rtol=1e-4)[-1].square().sum().backward()


def with_a_mistake(folder):
    field, weight, y0 = nn.Linear(2, 2), nn.Parameter(torch.ones(2)), torch.ones(3, 2)

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = field

        def forward(self, t, y):
            return self.net(y) * weight

    return lambda: odeint_adjoint(Field(), y0, T, rtol=1e-4)[-1].square().sum().backward()


def broken(folder):
    raise ImportError("no such module")


def test_what_is_as_it_should_be_is_no_surprise_and_the_rest_is():
    lost = frozenset({"captured, gradient lost"})
    one = {make: watched(PublicStep("a/b", "c", make), Path()) for make in (right, with_a_mistake, broken)}
    assert surprises(PublicStep("a/b", "c", right), one[right]) == []
    assert surprises(PublicStep("a/b", "c", right, lost), one[right]) == sorted(lost)  # missed
    assert surprises(PublicStep("a/b", "c", with_a_mistake), one[with_a_mistake]) == sorted(lost)
    assert surprises(PublicStep("a/b", "c", with_a_mistake, lost), one[with_a_mistake]) == []
    assert "no such module" in surprises(PublicStep("a/b", "c", broken), one[broken])[0]
    made = table([(PublicStep("a/b", "c", make), "1234", found) for make, found in one.items()])
    assert "solution 1✓" in made and "**captured, gradient lost**" in made and "not watched: " in made


def test_a_project_without_a_checkout_is_a_line_that_says_what_to_type(tmp_path, capsys):
    assert main([str(tmp_path), "--only", STEPS[0].model]) == 1
    assert f"git clone https://github.com/{STEPS[0].repository}" in capsys.readouterr().out
