"""A result that is wrong by more than its tolerance promises is refuted, and no other."""

from __future__ import annotations

import pytest

from odecheck.watching import judged
from odecheck.watching.step import watch

from .linear_call import linear


@pytest.mark.parametrize("what", ["solution", "dL/dy0", "dL/dtheta", "dL/dt"])
def test_a_result_that_is_wrong_breaks_its_promise(what):
    """Each of the four is moved by a few percent where the tolerance is 1e-6: refuted, and that one alone."""
    call, _ = linear((0.0, 0.5, 1.2))
    with watch() as step:
        pass
    step.calls.append(call)
    assert call.solution is not None and call.held is not None
    honest = judged.observed

    def moved(call, repeat, f):
        out = honest(call, repeat, f)
        names = list(f.leaves) if what == "dL/dtheta" else [what]
        return {k: v * (1.03 if k in names else 1.0) for k, v in out.items()}

    judged.observed = moved
    try:
        quantities = step.rows[0].quantities
    finally:
        judged.observed = honest
    assert {name for name, q in quantities.items() if q.verdict == "refuted"} == {what}
    assert step.rows[0].verdict == "refuted"
