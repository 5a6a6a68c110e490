"""No claim refutes a correct subject on any drawn problem; and a drawn problem can be typed.

One example is one problem, one correct subject and one claim; the profile's number of examples is shared out among the
claims. `pytest --odecheck-profile deep tests/test_properties.py --hypothesis-show-statistics` draws 10,000, and says of
each claim how often it held, was inconclusive or did not apply.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given, note, settings
from hypothesis import strategies as st
from odecheck_reference import Problem
from odecheck_reference.fields import Mlp

from odecheck.claims import ALL
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.judge import Verdict
from odecheck.record import Record, evaluate
from odecheck.shipped import STEP_TIMES
from odecheck.solvers import Adaptive, FixedStep
from odecheck.strategies import problems, reproducer
from odecheck.subject import SHIPPED, Subject

CORRECT = (
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Backprop()),
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Adjoint()),
    Subject(SHIPPED, FixedStep("rk4", step=0.05), Backprop(), expected_failures={"NODE-3": STEP_TIMES}),
    Subject(SHIPPED, FixedStep("rk4", step=0.05), Adjoint()),
    Subject(SHIPPED, Adaptive("bosh3", rtol=1e-6, land=True), Adjoint()),
    Subject(SHIPPED, FixedStep("midpoint", step=0.02), Adjoint()),
)
WRONG = {Verdict.HOLDS: Verdict.REFUTED, Verdict.REFUTED: Verdict.HOLDS}


def false_alarm(record: Record) -> bool:
    """The opposite of the verdict that the claim expects, or a crash, where no failure is known."""
    alarms = (str(WRONG[Verdict(record.expected_verdict)]), str(Verdict.ERROR))
    return record.verdict in alarms and not record.expected_failure


@pytest.mark.parametrize("claim", ALL, ids=lambda claim: claim.id)
@settings(max_examples=max(3, settings.default.max_examples // len(ALL)))
@given(problem=problems(), subject=st.sampled_from(CORRECT))
def test_no_claim_refutes_a_correct_subject(claim, problem, subject):
    record = evaluate(claim, subject, problem)
    event(record.verdict)
    if false_alarm(record):
        note(str(record))
        note(reproducer(problem))
        pytest.fail(f"{claim.id} gives a false alarm")


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

    problem = Problem("foreign", Foreign(1, 1), *(np.zeros((1, 1)), np.zeros(2), np.array([0.0, 1.0])), _silent())
    with pytest.raises(TypeError, match="Foreign"):
        reproducer(problem)


def _silent():
    from odecheck_reference.losses import Linear

    return Linear(np.zeros((2, 1, 1)))
