"""The problems of conformance: one object each, posed so that the claims that they are for can be asked."""

from __future__ import annotations

import numpy as np
import pytest
from odecheck_reference import solution

from odecheck.claims import CONFORMANCE
from odecheck.problem_sets.conformance import _OWN, at_rest, curved, falling, linear, network, problems, switched


def test_a_switched_field_solves_itself() -> None:
    """Its closed form satisfies y' = F on both sides of the jump."""
    problem = switched()
    field = problem.field
    for t in (0.3, 1.2):
        step = 1e-6
        at = [field.solution(0.0, t + k * step, problem.y0, problem.theta) for k in (-1, 1)]
        slope = (at[1] - at[0]) / (2 * step)
        here = field.solution(0.0, t, problem.y0, problem.theta)
        assert slope == pytest.approx(field.jet(t, here, problem.theta, 0).value, rel=1e-8)


def test_every_claim_of_conformance_has_problems_and_every_entry_a_claim() -> None:
    ids = {claim.id for claim in CONFORMANCE}
    assert all(problems(id) for id in ids)
    assert set(_OWN) - {"SOL-12"} <= ids
    assert problems("HES-1") == (curved(),) and problems("SOL-2") == (linear(), network())


def test_a_problem_is_one_object() -> None:
    assert all(one is other for one, other in zip(problems("EVT-1"), problems("EVT-1"), strict=True))


def test_they_are_what_their_names_say() -> None:
    still, fall = solution(at_rest()).value, solution(falling()).value
    assert np.ptp(still, axis=0).max() < 1e-14
    assert falling().y0[0, 0] > 0 > fall[-1, 0, 0]
    a = linear().theta[:4].reshape(2, 2)
    assert not np.allclose(a, a.T)
