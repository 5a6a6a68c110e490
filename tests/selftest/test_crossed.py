"""The means of the tables: a lie keeps the value, a memory shows at the second call."""

from __future__ import annotations

import torch
from torch import nn

from odecheck.selftest import crossed


def test_a_lie_keeps_the_value_and_changes_the_derivative() -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    said = crossed.lying(x, 0.25)
    assert torch.equal(said, x)
    said.sum().backward()
    assert torch.equal(x.grad, torch.full((2,), 0.25))


def test_rows_are_changed_alone() -> None:
    y = torch.ones(4, 1, 2)
    assert crossed._some(y, [1, 3], lambda x: 3 * x)[:, 0, 0].tolist() == [1.0, 3.0, 1.0, 3.0]


def test_what_is_remembered_is_in_the_value_from_the_second_call_on() -> None:
    class Field(nn.Module):
        def forward(self, t, y):
            return y

    field = crossed.Remembering(Field(), crossed.REMEMBERED["the time"], first=True, size=0.5)
    y = torch.ones(1, 1)
    assert [float(field(torch.tensor(t), y)) for t in (1.0, 2.0, 3.0)] == [1.0, 1.5, 2.0]


def test_derivatives_lie_in_places_of_time_alone() -> None:
    class Field(nn.Module):
        def forward(self, t, y):
            return t * y

    by_name = {mutant.name: mutant for mutant in crossed.derivatives((1.0,))}
    mutant = by_name["dF/dy in a tenth of the time too small by 1"]
    (wrap,) = mutant(_subject()).around
    slopes: list[float] = []
    for at in (0.4, 0.8):
        y = torch.ones(1, 1, requires_grad=True)
        wrap(Field())(torch.tensor(at), y).sum().backward()
        slopes.append(round(float(y.grad), 3))
    assert slopes == [0.0, 0.8]


def _subject():
    from odecheck.selftest.kinds import STEPS

    return STEPS
