"""Some of the tables of solves: what they leave as it is."""

from __future__ import annotations

import numpy as np
import pytest

from odecheck.errors import NotApplicable
from odecheck.problem_sets.conformance import network
from odecheck.selftest import crossed_solves
from odecheck.selftest.kinds import ADAPTIVE, STEPS


def test_a_longest_step_that_nobody_asks_for_cannot_be_exceeded() -> None:
    (mutant,) = crossed_solves.long_steps((None,))
    with pytest.raises(NotApplicable, match="no longest step"):
        mutant(ADAPTIVE).solution(network())


def test_an_answer_is_wrong_at_one_tolerance_alone() -> None:
    (mutant,) = crossed_solves.erratic((1e-8,), (0.5,))
    problem = network()
    wrong = mutant(ADAPTIVE)
    ratios = [
        np.max(a.solution(problem) / b.solution(problem))
        for a, b in ((wrong, ADAPTIVE), (wrong.refined(), ADAPTIVE.refined()))
    ]
    assert ratios == pytest.approx([1.0, 1.5])


def test_intervals_are_chosen_by_their_ends() -> None:
    (mutant,) = crossed_solves.intervals((0.1,), crossed_solves.DECREASING)
    problem, wrong = network(), mutant(STEPS)
    turned = problem.with_(ts=problem.ts[::-1])
    assert np.array_equal(wrong.solution(problem), STEPS.solution(problem))
    assert not np.array_equal(wrong.solution(turned), STEPS.solution(turned))


def test_entries_of_a_derivative_are_changed_alone() -> None:
    by_name = {mutant.name: mutant for mutant in crossed_solves.entries((0.5,))}
    problem = network()
    wrong = by_name["the last of dL/dtheta times 1 + 0.5"](STEPS).gradient(problem).theta
    right = STEPS.gradient(problem).theta
    assert np.array_equal(wrong[:-1], right[:-1]) and wrong[-1] == pytest.approx(1.5 * right[-1])
