"""No claim refutes a correct subject on any drawn problem; and a drawn problem can be typed.

One example is one problem, one correct subject and one claim; the profile's number of examples is shared out among the
claims. This draws 10,000, and says of each claim how often it held, was inconclusive or did not apply:

    pytest --odecheck-profile deep tests/problem_sets/test_strategies.py --hypothesis-show-statistics

`odecheck selftest --part false-alarms` judges all claims on each of any number of drawn pairs, and resumes.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, event, given, note, settings
from hypothesis import strategies as st
from odecheck_reference import Problem
from odecheck_reference.fields import Adam, GradientFlow, Learnt, Linear, Mlp
from odecheck_reference.losses import Linear as LinearLoss
from odecheck_reference.losses import SquaredError

from odecheck.claims import ALL
from odecheck.claims.papers import node
from odecheck.judge import Verdict
from odecheck.problem_sets.strategies import problems, reproducer
from odecheck.record import evaluate
from odecheck.selftest.false_alarms import CORRECT, asked, false_alarm


@pytest.mark.parametrize("claim", ALL, ids=lambda claim: claim.id)
@settings(max_examples=max(3, settings.default.max_examples // len(ALL)))
@given(problem=problems(), subject=st.sampled_from(CORRECT))
def test_no_claim_refutes_a_correct_subject(claim, problem, subject):
    assume(asked(claim, problem))
    record = evaluate(claim, subject, problem)
    event(record.verdict)
    if false_alarm(record, subject, problem):
        note(str(record))
        note(reproducer(problem))
        pytest.fail(f"{claim.id} gives a false alarm")


def test_backpropagation_through_a_solution_at_rest_is_not_decided():
    """y' = a y from 0 stays there whatever the tolerance, while dy(T)/dy0 = e^(aT) needs its steps.

    Backpropagation through torchdiffeq's three steps is 0.3 % off there, and no tolerance that was given forbids it.
    """
    weight = np.zeros((2, 1, 1))
    weight[-1] = 1.0
    at_rest = Problem(
        "at rest", Linear(1), np.zeros((1, 1)), np.array([2.0, 0.0]), np.array([0.0, 1.0]), LinearLoss(weight)
    )
    steps, flow = (evaluate(node.adjoint_equation, subject, at_rest) for subject in CORRECT[:2])
    assert steps.verdict == flow.verdict == Verdict.INCONCLUSIVE
    assert abs(steps.ratio - 1) > 1e-3
    assert "away from zero" in steps.decides


OF_LAYERS = [claim for claim in ALL if claim.id in ("SNOPT-5", "SNOPT-6.1", "SNOPT-8", "SNOPT-8.1", "SNOPT-9")]


@pytest.mark.parametrize("claim", OF_LAYERS, ids=lambda claim: claim.id)
def test_a_layer_whose_weight_is_used_twice_has_no_block_of_its_own(claim):
    """In −Wᵀ s(W y + b) the weight acts outside the layer too: ∫ g zᵀ dt is only a part of the derivative."""
    rng, field = np.random.default_rng(0), GradientFlow(2, 3, "tanh")
    problem = Problem(
        "weight used twice",
        field,
        rng.normal(size=(2, 2)),
        rng.normal(size=field.params),
        np.array([0.0, 0.5, 1.0]),
        SquaredError(np.ones((3, 2, 2)), np.zeros((3, 2, 2))),
    )
    adjoint = next(s for s in CORRECT if s.engine.target == "flow")
    record = evaluate(claim, adjoint, problem)
    assert record.verdict == Verdict.NOT_APPLICABLE, record


def test_rungs_that_take_a_handful_of_like_steps_are_not_believed():
    """Three, three and four steps for tolerances of 1e-8 to 1e-10: near each other, and further from right."""
    field = Adam(Mlp(1, 1, (3, 2), "softplus"), Learnt("sigmoid"), Learnt("sigmoid"), denominator="code")
    y0 = np.array([[1.5, 1.5, 1.25], [-0.75, -0.75, 1.625]])
    theta = 0.125 * np.array([3, -12, 0, -3, 11, 0, 1, 12, 0, 0, 4, -4, -2, 9, -3, 5, 5, -10, 11])
    weight = np.zeros((2, 2, 3))
    weight[-1] = [[2.0, 1.0, 1.75], [1.125, 1.75, 1.75]]
    problem = Problem("a short interval", field, y0, theta, np.array([0.0, 0.125]), LinearLoss(weight))
    record = evaluate(node.time_gradient, CORRECT[0], problem)
    assert record.verdict == Verdict.HOLDS, record


@settings(max_examples=50)
@given(problem=problems())
def test_a_reproducer_rebuilds_the_problem(problem):
    names: dict[str, Problem] = {}
    exec(reproducer(problem), names)
    rebuilt = names["problem"]
    for array in ("y0", "theta", "ts"):
        assert getattr(rebuilt, array).tobytes() == getattr(problem, array).tobytes()
    assert rebuilt.field == problem.field
    assert reproducer(rebuilt) == reproducer(problem)
    assert np.array_equal(
        rebuilt.loss.gradient(np.ones(problem.observations)), problem.loss.gradient(np.ones(problem.observations))
    )


def test_a_field_of_another_library_has_no_text():
    class Foreign(Mlp):
        pass

    problem = Problem(
        "foreign",
        Foreign(1, 1),
        *(np.zeros((1, 1)), np.zeros(2), np.array([0.0, 1.0])),
        LinearLoss(np.zeros((2, 1, 1))),
    )
    with pytest.raises(TypeError, match="Foreign"):
        reproducer(problem)
