"""A field whose derivative in time alone is not that of its values: what asks for no such derivative is judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from odecheck_reference.fields import Jet
from torch import nn

from odecheck import Verdict, module_pairs
from odecheck.claims import EVERY
from odecheck.fields.callback import CallbackField
from odecheck.mutants.derivatives import FORGOTTEN_OBSERVATION, scaled
from odecheck.record import REFUSED, evaluate
from odecheck.runner.case import CUT_IN_TIME, Unit

WITHOUT = tuple(claim for claim in EVERY if claim.without_time)
ASKED = ("SOL-2", "NODE-2")
IN_TIME = tuple(claim for claim in EVERY if claim.id in ("NODE-3", "SNOPT-1"))


class Field(nn.Module):
    """As flows of FFJORD's kind have it: time is made a new number on the way."""

    def __init__(self, *, cut: bool = True, state: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))
        self.cut, self.state = cut, state

    def forward(self, t, y):
        s = t.detach().clone() if self.cut else t
        return self.net(torch.cat([y, s.expand(len(y), 1)], 1)) + (y.detach() if self.state else 0)


class Poisoned(CallbackField):
    """Derivatives in time are not a number: whoever asks for one shows it."""

    def jet(self, t, y, theta, order):
        found = super().jet(t, y, theta, order)
        if found.first is None:
            return found
        first = found.first.copy()
        first[..., 0] = np.nan
        return Jet(found.value, first, found.second)

    def pull(self, t, y, theta, a):
        found = super().pull(t, y, theta, a)
        return replace(found, t=np.full_like(found.t, np.nan))


def asked(field: nn.Module, claims=(*WITHOUT, *IN_TIME)):
    torch.manual_seed(1)
    return [Unit(subject, problem, claims) for subject, problem in module_pairs(field, torch.randn(2, 2))]


def test_what_needs_no_derivative_in_time_is_judged_and_the_rest_is_refused():
    of_steps, of_adjoint = asked(Field(), (*(one for one in WITHOUT if one.id in ASKED), *IN_TIME))
    for unit in (of_steps, of_adjoint):
        found = {record.claim: record for record in unit.run()}
        assert set(found) == {claim.id for claim in unit.claims}
        for claim in IN_TIME:
            refused = found[claim.id]
            assert refused.verdict is Verdict.ERROR and refused.message.startswith(REFUSED)
            assert "in the direction of t; in all other directions it is right at 256" in refused.message
            assert "t itself in forward" in refused.message
        assert found["SOL-2"].verdict is Verdict.HOLDS
        gradient = found["NODE-2"]
        if unit is of_adjoint:
            assert gradient.verdict is Verdict.HOLDS
        else:  # torchdiffeq differentiates the lengths of its steps, and passes the cut on
            assert gradient.verdict in (Verdict.REFUTED, Verdict.INCONCLUSIVE)
            assert gradient.message.endswith(CUT_IN_TIME)
            assert gradient.verdict is Verdict.REFUTED or gradient.decides.startswith("t itself in forward")


def test_what_is_off_beside_it_is_a_reason_to_refuse_all():
    for unit in asked(Field(state=True)):
        found = list(unit.run())
        assert all(record.verdict is Verdict.ERROR for record in found)
        assert all("detach()" in record.message for record in found)


@pytest.mark.parametrize("claim", WITHOUT, ids=lambda claim: claim.id)
def test_the_reference_does_without_the_derivative_in_time(claim):
    """One that is not a number changes nothing; nor does the cut, of a subject that follows the adjoint."""
    (_, cut), (_, whole) = asked(Field(), (claim,)), asked(Field(cut=False), (claim,))
    field = Poisoned(cut.problem.field.module, cut.problem.field.features)
    one = evaluate(claim, cut.subject, cut.problem.with_(field=field))
    other = evaluate(claim, whole.subject, whole.problem)
    assert one.verdict == other.verdict == Verdict.HOLDS
    assert one.observed == pytest.approx(other.observed, rel=1e-6)
    assert one.expected == pytest.approx(other.expected, rel=1e-6)


@pytest.mark.parametrize("large", [False, True])
def test_a_wrong_subject_is_refuted_all_the_same(large, monkeypatch):
    if large:
        monkeypatch.setattr("odecheck_reference.flat.FORWARD", 0)
    claims = {claim.id: claim for claim in WITHOUT}
    _, unit = asked(Field(), ())
    for id, mutant in (
        ("NODE-1", scaled("y0", -1.0)),
        ("NODE-2", scaled("theta", 1.01)),
        ("NODE-2", FORGOTTEN_OBSERVATION),
    ):
        (record,) = Unit(mutant(unit.subject), unit.problem, (claims[id],)).run()
        assert record.verdict is Verdict.REFUTED, id
