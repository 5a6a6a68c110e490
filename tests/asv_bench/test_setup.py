"""The benchmarks of this project refuse what is wrong before they time it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "asv_bench"))
from benchmarks import common, curvature, gradient, models, second_order, solve

SOLVE = ("torchdiffeq", "dopri5", 1e-6, "float64", "cpu")


def wrong(of):
    """The same, but for a per cent."""
    return lambda *how, **more: 1.01 * of(*how, **more)


def test_the_suite_as_it_is_refuses_nothing():
    for name in models.MODELS:
        model = models.Model()
        model.setup(name, "torchdiffeq adjoint", 1e-5, "cpu")
        assert model.track_nfe_forward(name, "", 0.0, "") > 0
    for field in curvature.Kronecker.params[0]:
        factors = curvature.Kronecker()
        factors.setup(field, "cpu")
        assert 0 < factors.track_error(field, "cpu") < 1e-4
        assert factors.track_nfe(field, "cpu") > 20 and factors.track_saved_bytes(field, "cpu") > 0
    solved = solve.Solve()
    solved.setup(*SOLVE)
    accepted, rejected = solved.track_steps_accepted(*SOLVE), solved.track_steps_rejected(*SOLVE)
    assert accepted > 0 and 6 * (accepted + rejected) + 2 == solved.track_nfe(*SOLVE)


@pytest.mark.parametrize("name", ["HessianOfStart", "Wall", "Memory"])
def test_an_answer_that_is_off_is_not_timed(name, monkeypatch):
    if name == "HessianOfStart":
        benchmark, how = second_order.HessianOfStart(), ()
        needed = common.needed
        monkeypatch.setattr(common, "needed", lambda *of: wrong(needed(*of)) if "hessian_y0" in of else needed(*of))
    elif name == "Wall":
        benchmark, how = solve.Wall(), SOLVE
        monkeypatch.setattr(common, "solve", wrong(common.solve))
        common.exact("M")  # by torchdiffeq itself, and kept
    else:
        benchmark, how = gradient.Memory(), ("torchdiffeq backprop",)
        right = common.gradient
        monkeypatch.setattr(
            common, "gradient", lambda engine, *of: (wrong(right) if engine in how else right)(engine, *of)
        )
    with pytest.raises(NotImplementedError, match="off by"):
        benchmark.setup(*how)


@pytest.mark.parametrize("factor", [1.02, float("nan")])
def test_factors_that_are_off_are_not_timed(factor, monkeypatch):
    from odecheck import curvature as odecheck_curvature

    right, calls = odecheck_curvature.kronecker_factors, []

    def off(*how):
        calls.append(how)
        found = right(*how)
        return {k: replace(f, B=factor * f.B) for k, f in found.items()} if len(calls) == 2 else found

    monkeypatch.setattr(odecheck_curvature, "kronecker_factors", off)
    with pytest.raises(NotImplementedError, match="off by"):
        curvature.Kronecker().setup("Mlp", "cpu")


def test_a_training_step_that_leads_nowhere_is_not_timed(monkeypatch):
    step = curvature.SnoptStep.step

    def diverges(self):
        step(self)
        next(self.model.parameters()).data.fill_(float("nan"))

    monkeypatch.setattr(curvature.SnoptStep, "step", diverges)
    with pytest.raises(NotImplementedError, match="not finite"):
        curvature.SnoptStep().setup("SGD", "cpu")


def test_a_training_step_with_a_wrong_solve_is_not_timed(monkeypatch):
    forward = curvature.Layer.forward
    monkeypatch.setattr(curvature.Layer, "forward", lambda self, y: 1.1 * forward(self, y))
    with pytest.raises(NotImplementedError, match="off by"):
        curvature.SnoptStep().setup("SNOpt, SGD", "cpu")


def test_calls_are_counted_and_callbacks_left_alone():
    field = common.dense("S").field
    field.callback_step = "its own"
    assert common.calls(field, lambda: [field(0.0, torch.zeros(1, 2).double()) for _ in range(3)]) == 3.0
    assert field.callback_step == "its own" and not field._forward_pre_hooks
