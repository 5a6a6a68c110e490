"""torchode: right in its states and its derivatives, and what it refuses."""

from __future__ import annotations

import pytest

from odecheck import SHIPPED, Subject, Unsupported
from odecheck.problem_sets.conformance import linear, network, pendulum
from odecheck.solvers import GivenSteps
from tests.engines.truth import check


@pytest.mark.parametrize("problem", [linear(), network(), pendulum()], ids=lambda p: p.name)
@pytest.mark.parametrize("method", ["dopri5", "tsit5"])
def test_torchode_backpropagates(problem, method):
    torchode = pytest.importorskip("odecheck.engines.torchode")
    check(
        Subject(SHIPPED, torchode.TorchodeAdaptive(method, rtol=1e-8), torchode.AUTODIFF),
        problem,
        states=1e-6,
        slopes=1e-5,
        times=1e-5,
    )


@pytest.mark.parametrize("name", ["BACKSOLVE", "JOINT"])
@pytest.mark.parametrize("kind", ["adaptive", "fixed"])
def test_torchode_solves_back(name, kind):
    torchode = pytest.importorskip("odecheck.engines.torchode")
    solver = (
        torchode.TorchodeAdaptive("dopri5", rtol=1e-8)
        if kind == "adaptive"
        else torchode.TorchodeFixed("heun2", step=0.01)
    )
    close_to = (1e-6, 1e-5) if kind == "adaptive" else (1e-4, 1e-3)
    check(Subject(SHIPPED, solver, getattr(torchode, name)), linear(), states=close_to[0], slopes=close_to[1])


def test_torchode_takes_no_grid_and_no_tuple():
    torchode = pytest.importorskip("odecheck.engines.torchode")
    with pytest.raises(Unsupported, match="one by one"):
        Subject(SHIPPED, GivenSteps("euler"), torchode.AUTODIFF).solution(linear())
    with pytest.raises(Unsupported, match="no option step_t"):
        Subject(SHIPPED, torchode.TorchodeAdaptive("dopri5", land=True), torchode.AUTODIFF).solution(linear())
