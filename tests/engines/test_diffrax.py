"""diffrax: right where it is asked in its own terms; its counts and its second derivatives."""

from __future__ import annotations

import math

import pytest
import torch

from odecheck import SHIPPED, Adaptive, FixedStep, Subject
from odecheck.cost import measure
from odecheck.engines.torchdiffeq import Backprop
from odecheck.errors import Unsupported
from odecheck.problem_sets.conformance import linear, network
from odecheck.solvers import GivenSteps
from tests.cost.computations import PROBLEM, posed
from tests.engines.elsewhere import ELSEWHERE, decay_on
from tests.engines.truth import check


def test_diffrax_does_not_support_other_devices():
    pytest.importorskip("diffrax")
    from odecheck.engines.diffrax import DIRECT

    with pytest.raises(Unsupported, match=r"diffrax.*meta"):
        DIRECT.solution(decay_on(ELSEWHERE)[0], Adaptive("dopri5", rtol=1e-6), *decay_on(ELSEWHERE)[1:])


def test_diffrax_backpropagates():
    """One method and one adjoint: every further one is compiled anew, for seconds. The matrix has them all."""
    diffrax = pytest.importorskip("odecheck.engines.diffrax")
    pytest.importorskip("diffrax")
    subject = Subject(SHIPPED, diffrax.DiffraxAdaptive("dopri5", rtol=1e-9, land=True), diffrax.RECURSIVE)
    check(subject, network(), states=1e-6, slopes=1e-6, times=1e-6)
    with pytest.raises(Unsupported, match="one by one"):
        Subject(SHIPPED, GivenSteps("euler"), diffrax.RECURSIVE).solution(linear())


def test_diffrax_tells_steps_and_calls_back_at_every_evaluation():
    diffrax = pytest.importorskip("odecheck.engines.diffrax")
    pytest.importorskip("diffrax")
    solver = diffrax.DiffraxFixed("heun2", step=0.25)
    cost, found = measure(posed(diffrax.RECURSIVE, "solution", solver), repeat=0)
    peer, same = measure(posed(Backprop(), "solution", FixedStep("heun2", step=0.25)), repeat=0)
    assert torch.allclose(found, same, rtol=1e-12, atol=1e-13)
    counts = cost.counts
    assert (counts.accepted_forward, counts.rejected_forward) == (peer.counts.accepted_forward, 0) == (5, 0)
    assert counts.nfe_forward == peer.counts.nfe_forward == 10 and counts.rows_forward == 10 * PROBLEM.batch
    assert (counts.nfe_backward, counts.accepted_backward) == (0, 0)
    assert math.isnan(cost.saved_bytes) and math.isnan(cost.peak_bytes)


def test_diffrax_direct_is_differentiated_twice():
    """The Hessian of the very steps that torchdiffeq takes too."""
    diffrax = pytest.importorskip("odecheck.engines.diffrax")
    pytest.importorskip("diffrax")
    found = posed(diffrax.DIRECT, "hvp", diffrax.DiffraxFixed("euler", step=0.25))()
    expected = posed(Backprop(), "hvp", FixedStep("euler", step=0.25))()
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-13)
    with pytest.raises(Unsupported, match="DirectAdjoint"):
        posed(diffrax.RECURSIVE, "hvp", diffrax.DiffraxFixed("euler", step=0.25))()
