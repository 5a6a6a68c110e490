"""For a quick local comparison: `pytest tests/cost/test_costs_benchmark.py --benchmark-autosave`, then `-compare`.

Each benchmark carries its exact costs and its achieved error in `extra_info`, so that a faster run that computes less,
or something else, is seen. CPU time. Under xdist pytest-benchmark only runs them once.
"""

from __future__ import annotations

import time

import pytest
import torch
from odecheck_reference import catalogue

from odecheck import Adaptive, Subject
from odecheck.cost import achieved, measure, pose
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.subject import SHIPPED

pytest.importorskip("pytest_benchmark")
PROBLEM = catalogue.quick()[2]
ENGINES = (Backprop(), Adjoint(), Closed(), Discrete())
ASKED = [(e, q) for q in ("solution", "gradient", "hvp") for e in ENGINES]
CASES = [case for case in ASKED if (case[0].name, case[1]) != ("torchdiffeq adjoint", "hvp")]  # it has none


@pytest.mark.benchmark(timer=time.process_time, warmup=False)
@pytest.mark.parametrize(("engine", "quantity"), CASES, ids=[f"{e.name}-{q}" for e, q in CASES])
def test_cost(benchmark, engine, quantity):
    posed = pose(Subject(SHIPPED, Adaptive("dopri5", rtol=1e-6), engine), PROBLEM, quantity)
    benchmark.group = quantity
    cost, found = measure(posed, repeat=0)
    error = achieved(found, PROBLEM, quantity)
    assert error < 1e-2  # the time of a wrong answer is no measurement
    seen = benchmark.pedantic(posed, rounds=3)
    assert torch.equal(seen, found)
    known = {name: value for name, value in cost.columns().items() if value == value}
    benchmark.extra_info.update(engine=engine.name, quantity=quantity, achieved_error=error, **known)
    assert {"nfe_forward", "accepted_forward", "saved_bytes", "achieved_error"} <= set(benchmark.extra_info)
