"""What is computed and paid for, against the reference, and what an engine cannot do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from odecheck import Adaptive, Subject, Unsupported
from odecheck.cost import QUANTITIES, achieved, compute, direction, pose
from odecheck.cost.quantities import error, hvp, truth
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.scipy import SOLVE_IVP, SolveIvp
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.subject import SHIPPED
from tests.cost.computations import PROBLEM, Elsewhere

SIZE = PROBLEM.y0.size + PROBLEM.theta.size


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("engine", [Backprop(), Closed(), Discrete()], ids=lambda engine: engine.name)
def test_every_quantity_is_that_of_the_reference(engine, quantity):
    at = pose(Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), engine), PROBLEM, quantity)
    found = at()
    assert found.shape == ((len(PROBLEM.ts) * PROBLEM.y0.size if quantity == "solution" else SIZE),)
    assert 0 < achieved(found, PROBLEM, quantity) < 1e-5
    assert achieved(1.01 * found, PROBLEM, quantity) == pytest.approx(0.01, rel=1e-2)


def test_an_error_below_the_references_own_is_not_known():
    exact, radius = truth(PROBLEM, "gradient")
    assert math.isnan(error(exact + 0.5 * radius, PROBLEM, "gradient"))
    assert error(exact + 2 * radius, PROBLEM, "gradient") > 0


def test_the_direction_is_the_same_for_everybody():
    assert np.array_equal(direction(SIZE)[:3], np.cos([1.0, 3.0, 5.0])) and direction(SIZE).shape == (SIZE,)


def test_what_an_engine_cannot_do_is_unsupported_when_it_is_asked():
    y0, ts = torch.tensor(PROBLEM.y0), torch.tensor(PROBLEM.ts)
    module = Subject(SHIPPED, Adaptive(), Backprop()).module(PROBLEM)
    compute("hvp", SOLVE_IVP)  # not yet
    with pytest.raises(Unsupported, match="scipy solve_ivp has no Hessian-vector product"):
        compute("hvp", SOLVE_IVP)(module, SolveIvp("RK45"), y0, ts, torch.sum)
    with pytest.raises(Unsupported, match="elsewhere has no Hessian-vector product"):
        hvp(Elsewhere(), module, Adaptive(), y0, ts, torch.sum)
    with pytest.raises(Unsupported, match="torchdiffeq adjoint cannot be differentiated twice"):
        hvp(Adjoint(), module, Adaptive(), y0, ts, lambda y: (y**2).sum())
    with pytest.raises(KeyError):
        compute("hessian", Backprop())  # type: ignore[arg-type]
