"""What a run costs is estimated from measured seconds; what tells most for its cost comes first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from odecheck import SHIPPED, Adaptive, Adjoint, Backprop, Closed, Subject, module_pairs, problems
from odecheck.claims import ALL, EVERY
from odecheck.problem_sets.conformance import network
from odecheck.runner import estimate
from odecheck.runner.case import Unit, plan

SUBJECT = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Backprop())
OTHER = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Adjoint())
CLAIMS = {claim.id: claim for claim in EVERY}


class Slope(torch.nn.Module):
    """A network of one layer."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, t, y):
        return torch.tanh(self.layer(y))


def test_what_was_measured_are_claims_and_the_spread_is_said():
    known = estimate.measured()
    assert set(known["claims"]) <= set(CLAIMS)
    assert {claim.id for claim in ALL} <= set(known["claims"])
    assert 1 < known["spread"] < 10
    assert all(len(row) == 3 and min(row) >= 0 for fields in known["claims"].values() for row in fields.values())


def test_the_first_subject_of_a_problem_pays_for_the_reference():
    of_network = {id: fields.get("Mlp", (0, 0, 0))[1] for id, fields in estimate.measured()["claims"].items()}
    dearest = max(of_network, key=lambda id: of_network[id])
    units = [Unit(one, network(), (CLAIMS[dearest],)) for one in (SUBJECT, SUBJECT)]
    (_, _, first), (_, _, second) = estimate.each(units)
    assert first > second > 0
    whole = estimate.of_units(units)
    assert whole.seconds == pytest.approx(first + second) and whole.low < whole.seconds < whole.high


def test_a_larger_problem_costs_as_much_or_more_and_an_unknown_claim_counts_as_its_family():
    small = network()
    large = small.with_(y0=np.repeat(small.y0, 8, axis=0), loss=_silent(small, 8))
    ratio = estimate.size_of(large) / estimate.size_of(small)
    assert ratio == 8
    cost = [estimate.of_case(CLAIMS["NODE-2"], SUBJECT, problem) for problem in (small, large)]
    assert cost[1] == pytest.approx(cost[0] * 8 ** estimate.measured()["exponent"])
    new = replace(CLAIMS["NODE-2"], id="NODE-99")
    known = [estimate.of_case(claim, SUBJECT, small) for claim in ALL if claim.family.id == "NODE"]
    assert 0.1 * min(known) < estimate.of_case(new, SUBJECT, small) < 10 * max(known)


def _silent(problem, batch):
    weight, target = (np.repeat(x, batch, axis=1) for x in (problem.loss.weight, problem.loss.target))
    return replace(problem.loss, weight=weight, target=target)


def test_what_tells_most_comes_first_and_every_case_once():
    units = plan([SUBJECT, OTHER], problems()[:2], ["SOL-1", "SOL-2", "NODE-4", "NODE-5", "SNOPT-1"])
    ordered = estimate.most_telling_first(units, parts=3)
    assert sorted(key for unit in ordered for key in unit.keys) == sorted(key for unit in units for key in unit.keys)
    firsts = list(dict.fromkeys(claim.id for unit in ordered for claim in unit.claims))
    cases = [(unit.subject, unit.problem) for unit in units]
    worth = [estimate.telling(CLAIMS[id], cases) for id in firsts]
    assert worth == sorted(worth, reverse=True)
    # all subjects and problems of the first part before any of the next
    assert {claim.id for claim in ordered[0].claims} == {claim.id for claim in ordered[3].claims}


def test_claims_that_share_solves_are_asked_together():
    ids = ["SOL-1", "SOL-2", "NODE-1", "NODE-2", "NODE-3", "NODE-4", "NODE-5", "NODE-6", "SNOPT-1", "SNOPT-2"]
    units = plan([SUBJECT, OTHER], problems()[:1], ids)
    ordered = estimate.most_telling_first(units)
    assert sorted(key for unit in ordered for key in unit.keys) == sorted(key for unit in units for key in unit.keys)
    shared = {claim.id for claim in ALL if claim.shares}
    holders = [unit for unit in ordered if shared & {claim.id for claim in unit.claims}]
    assert shared == {"NODE-1", "NODE-2", "NODE-3"} and len(ordered) > len(holders) == 2
    assert all(shared <= {claim.id for claim in unit.claims} for unit in holders)


def test_second_derivatives_of_a_field_of_ones_own_are_no_refusals_where_the_engine_has_them():
    (backprop, problem), *_ = module_pairs(Slope(), [[0.5, 1.0]])
    closed = replace(backprop, engine=Closed())
    for id in ("SNOPT-1", "SNOPT-2", "SNOPT-4", "SNOPT-10"):
        refused, asked = (estimate.of_case(CLAIMS[id], subject, problem) for subject in (backprop, closed))
        assert refused < 0.05 < 0.1 < asked, id
    assert estimate.of_case(CLAIMS["SNOPT-1.1"], closed, problem) < 0.1, "nobody was measured to answer it"
