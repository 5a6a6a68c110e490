"""What would decide an inconclusive verdict: a line that names what to change, and by how much."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
from odecheck_reference import Bounded, catalogue

from odecheck import refinement
from odecheck.claims.find import found
from odecheck.claims.papers import node
from odecheck.claims.shared import own_tolerance
from odecheck.engines.torchdiffeq import Adjoint
from odecheck.judge import ADVICE, judge, what_decides
from odecheck.record import evaluate
from odecheck.solvers import Adaptive, FixedStep, GivenSteps
from odecheck.subject import SHIPPED, Subject


def line(term: str, size: float, *, solver=Adaptive("dopri5", rtol=1e-7), expected: bool = False) -> str:
    bars = Bounded(1.0), Bounded(1.0, {term: size})
    seen = judge(*(bars if expected else bars[::-1]), resolution=1e-5)
    assert seen.verdict == "inconclusive"
    return what_decides(seen, resolution=1e-5, solver=solver)


@pytest.mark.parametrize(
    ("solver", "said"),
    [
        (Adaptive("dopri5", rtol=1e-7), "an error that is 1e+02 times smaller: rtol=1e-10 in place of 1e-07"),
        (FixedStep("rk4", step=0.1), "an error that is 1e+02 times smaller: a step of 0.03 in place of 0.1"),
        (FixedStep("euler", step=0.1), "an error that is 1e+02 times smaller: a step of 0.0005 in place of 0.1"),
        (GivenSteps("rk4"), "an error that is 1e+02 times smaller: a finer solver"),
        (Adaptive("dopri5", rtol=1e-12), "a shorter interval"),
    ],
)
def test_a_wide_truncation_asks_for_a_finer_solver(solver, said):
    assert said in line("truncation", 1e-3, solver=solver)


def test_each_kind_of_term_has_its_own_line():
    assert line("truncation", np.inf).startswith("rungs that converge: rtol=1e-11 in place of 1e-07")
    assert "known 1e+02 times more sharply" in line("spread", 1e-3, expected=True)
    assert "numbers of one size" in line("roundoff", 1e-3)
    assert line("curious", 1e-3).endswith("its largest term is observed: curious")
    zero = judge(Bounded(0.0), Bounded(0.0), resolution=1e-5)
    assert "not zero" in what_decides(zero, resolution=1e-5, solver=FixedStep())


def test_every_advice_is_about_a_term_that_a_claim_has():
    modules = {inspect.getmodule(claim.statement) for claim in found("all")}
    modules |= {refinement, own_tolerance}
    text = "".join(inspect.getsource(module) for module in modules if module)
    assert not [words for words in ADVICE if words not in text]


def test_the_record_says_it():
    coarse = Subject(SHIPPED, FixedStep("euler", step=0.05), Adjoint())
    record = evaluate(node.parameter_gradient, coarse, catalogue.quick()[0])
    assert record.verdict == "inconclusive" and "a step of" in record.decides
    assert f"to decide it: {record.decides}" in str(record)
    finer = replace(coarse, solver=Adaptive("dopri5", rtol=1e-8))
    assert evaluate(node.parameter_gradient, finer, catalogue.quick()[0]).decides == ""
