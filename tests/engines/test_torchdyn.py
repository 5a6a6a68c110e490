"""torchdyn: right in its states and its derivatives, where its steps are, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from odecheck import SHIPPED, Subject, Unsupported
from odecheck.engines import torchdyn
from odecheck.problem_sets.conformance import network
from tests.engines.elsewhere import ELSEWHERE
from tests.engines.truth import check


def test_the_grid_of_torchdyn_is_where_the_times_are():
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    with ELSEWHERE:  # whatever is made without a device is made there
        grid = torchdyn._grid(ts, 0.25)
    assert grid.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]


def torchdyn_engines():
    pytest.importorskip("torchdyn")
    from odecheck.engines import torchdyn

    return torchdyn


@pytest.mark.parametrize("land", [True, False])
def test_torchdyn_backpropagates(land):
    torchdyn = torchdyn_engines()
    check(
        Subject(SHIPPED, torchdyn.TorchdynAdaptive("dopri5", rtol=1e-8, land=land), torchdyn.AUTOGRAD),
        network(),
        states=1e-6,
        slopes=1e-5,
        times=1e-4,
    )


def test_torchdyn_adjoint_has_no_derivative_in_many_times():
    torchdyn = torchdyn_engines()
    subject = Subject(SHIPPED, torchdyn.TorchdynAdaptive("dopri5", rtol=1e-8, land=True), torchdyn.ADJOINT)
    check(subject, network(), states=1e-6, slopes=1e-5)
    with pytest.raises(Unsupported, match="more than two times"):
        _ = subject.gradient(network()).ts


def test_torchdyn_steps_end_on_the_outputs_of_a_fixed_grid():
    torchdyn = torchdyn_engines()
    ts = torch.tensor([0.0, 0.25, 0.3], dtype=torch.float64)
    assert torchdyn._grid(ts, 0.1).tolist() == pytest.approx([0.0, 0.1, 0.2, 0.25, 0.3])
    assert torchdyn._grid(-ts, 0.1).tolist() == pytest.approx([0.0, -0.1, -0.2, -0.25, -0.3])


def test_torchdyn_says_which_times_it_lost():
    torchdyn = torchdyn_engines()
    with pytest.raises(RuntimeError, match="no state for some of the times"):
        torchdyn._where(torch.tensor([0.0, 0.5]), torch.tensor([0.0, 0.4, 0.5]))
