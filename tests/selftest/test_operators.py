"""An engine's answers, changed in one part."""

from __future__ import annotations

import numpy as np

from odecheck.selftest import battery, operators


def test_what_an_engine_answers_is_changed_in_one_part():
    subject = operators.kept(battery.DISCRETE)
    problem = battery.problems()["clocked"]
    right, hessian = subject.gradient(problem), subject.hessian(problem)
    for part, family, change in operators.mutants():
        if part in ("theta", "interior times", "Q_xtheta"):
            wrong = change(subject)
            got = wrong.gradient(problem)
            assert np.array_equal(got.y0, right.y0)
            assert np.array_equal(got.theta, right.theta) == (part != "theta")
            assert np.array_equal(got.ts, right.ts) == (part != "interior times"), family
            assert np.array_equal(wrong.hessian(problem), hessian) == (part != "Q_xtheta")
