"""scipy's solve_ivp: right, on the CPU alone, and without derivatives."""

from __future__ import annotations

import pytest
from odecheck_reference import catalogue, solution

from odecheck import SHIPPED, Subject
from odecheck.engines.base import on_host
from odecheck.engines.scipy import SOLVE_IVP, ScipyEngine, SolveIvp
from odecheck.errors import Unsupported
from odecheck.problem_sets.conformance import linear
from tests.engines.elsewhere import ELSEWHERE, decay_on
from tests.engines.truth import close


def test_libraries_outside_torch_do_not_support_other_devices():
    module, y0, ts = decay_on("cpu")
    on_host("numpy", (y0, ts))
    assert SOLVE_IVP.solution(module, SolveIvp("RK45", rtol=1e-6), y0, ts).shape == (2, 1, 2)
    for there in ((decay_on(ELSEWHERE)[0], y0, ts), (module, *decay_on(ELSEWHERE)[1:])):
        with pytest.raises(Unsupported, match="meta"):
            SOLVE_IVP.solution(there[0], SolveIvp("RK45", rtol=1e-6), there[1], there[2])


@pytest.mark.parametrize("method", list(SolveIvp.METHODS))
def test_scipy_solves_forwards_and_backwards(method):
    subject = Subject(SHIPPED, SolveIvp(method, rtol=1e-8), ScipyEngine())
    for problem in (linear(), catalogue.quick()[3]):
        close(subject.solution(problem), solution(problem), 1e-5)
    with pytest.raises(Unsupported, match="no derivatives"):
        subject.gradient(linear())
