"""Solutions and gradients of a subject against the reference."""

from __future__ import annotations

import numpy as np
from odecheck_reference import gradient, solution

from odecheck.instruments.metering import metered


def close(found, bounded, within):
    assert np.max(np.abs(found - bounded.value)) <= within * max(1.0, float(np.max(np.abs(bounded.value))))


def check(subject, problem, *, states, slopes, times=None):
    """Solution and gradient of a problem, to these relative errors. times: of dL/dts, None where it has none."""
    with metered() as cost:
        close(subject.solution(problem), solution(problem), states)
    assert cost.nfe > 0
    got, true = subject.gradient(problem), gradient(problem)
    close(got.y0, true.y0, slopes)
    close(got.theta, true.theta, slopes)
    if times:
        close(got.ts, true.ts, times)
