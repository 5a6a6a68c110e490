"""The observed value's own error bar: three rungs of the solver's refinement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from odecheck_reference import Bounded
from odecheck_reference.bounded import Array

from .subject import Subject

# An error that shrinks by less than this from one rung to the next is no convergence.
CONTRACTION = 0.7
# Round-off of one solve: a few hundred rounded operations at the scale of the largest component.
ROUNDOFF = 1e3 * float(np.finfo(np.float64).eps)
SAFETY = 4.0
MAX_RUNGS = 5


def ladder(subject: Subject, observe: Callable[[Subject], Array], *, scale: float | None = None) -> Bounded:
    """Observe on three rungs a, b, c and return the finest with its truncation error.

    If the errors shrink by at least 0.7 from rung to rung, e_c <= 0.7 / 0.3 · |b − c| and, as both distances bound
    it, 4 · max(|a − b|, |b − c|) is a bound with margin, also where one distance is small by accident. Rungs that do
    not contract give way to the next three, twice at most; whether they do is seen without the expected value. If they
    never contract the bar is infinite: then nothing is known about the limit. Distances are relative to the
    largest component, all components share one bar. scale: the size to which round-off refers, by default the
    largest component of the observed value.
    """
    rung = subject
    values = [np.asarray(observe(rung), dtype=np.float64)]
    truncation = np.inf
    while len(values) < MAX_RUNGS:
        rung = rung.refined()
        values.append(np.asarray(observe(rung), dtype=np.float64))
        if len(values) < 3:
            continue
        a, b, c = values[-3:]
        size = float(np.max(np.abs(c), initial=0.0)) if scale is None else scale
        ab, bc = float(np.max(np.abs(a - b), initial=0.0)), float(np.max(np.abs(b - c), initial=0.0))
        if not np.isfinite(c).all():
            truncation = 0.0  # not a number is no matter of refinement: the judge refutes it
            break
        if bc <= CONTRACTION * ab or max(ab, bc) <= 10 * ROUNDOFF * size:
            truncation = SAFETY * max(ab, bc)
            break
    last = values[-1]
    size = float(np.max(np.abs(last), initial=0.0)) if scale is None else scale
    return Bounded(last, {"truncation": truncation, "roundoff": ROUNDOFF * size if np.isfinite(size) else 0.0})
