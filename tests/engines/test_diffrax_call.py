"""What a call of diffeqsolve is made of is read from the call itself, under whatever name it is held."""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

import pytest

from odecheck.engines.diffrax_call import OwnStep, OwnTolerance, calls_read, controller_of, read
from odecheck.solvers import Stepped, Toleranced

diffrax = pytest.importorskip("diffrax")
jax = pytest.importorskip("jax")


def of(solver, **more):
    held, seen = diffrax.diffeqsolve, []
    with calls_read(seen):
        jax.eval_shape(lambda y: held(diffrax.ODETerm(lambda t, y, _: -y), solver, 0.0, 1.0, 0.5, y, **more), 1.0)
    jax.eval_shape(lambda y: held(diffrax.ODETerm(lambda t, y, _: -y), solver, 0.0, 1.0, 0.5, y, **more), 1.0)
    assert len(seen) == 1
    return seen[0]


def test_a_call_says_its_method_and_its_adjoint():
    control = diffrax.ClipStepSizeController(diffrax.PIDController(1e-3, 1e-6), step_ts=[0.5])
    bound = of(diffrax.Tsit5(), stepsize_controller=control, adjoint=diffrax.BacksolveAdjoint(), max_steps=7)
    call = read(bound)
    assert (call.method, call.order, call.evaluations, call.adaptive) == ("Tsit5", 5, 6, True)
    assert (call.adjoint, call.target, call.max_steps) == ("BacksolveAdjoint", "flow", 7)
    assert controller_of(bound).rtol == 1e-3 and "num_steps" in bound["gives"].stats


def test_steps_of_one_length_and_implicit_ones():
    heun, implicit = (
        read(of(diffrax.Heun())),
        read(of(diffrax.ImplicitEuler(), stepsize_controller=diffrax.PIDController(1e-3, 1e-6))),
    )
    assert (heun.evaluations, heun.explicit, heun.adaptive, heun.target) == (2, True, False, "steps")
    assert (implicit.order, implicit.evaluations, implicit.explicit) == (1, 1, False)
    step, tolerance = OwnStep(heun, 0.1), OwnTolerance(implicit, 1e-3)
    assert isinstance(step, Stepped) and isinstance(tolerance, Toleranced)
    assert (step.refined().step, tolerance.refined().rtol, tolerance.method) == (0.05, pytest.approx(1e-4), "")
    assert (step.with_step(1.0).name, tolerance.with_tolerance(1e-5, None).name) == (
        "Heun(dt0=1)",
        "ImplicitEuler(rtol=1e-05)",
    )
