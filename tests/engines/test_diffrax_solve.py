"""A user's own solve of diffrax as an engine: its adjoints, its second derivatives, a copy in another process."""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

import pickle

import numpy as np
import pytest

import odecheck

diffrax = pytest.importorskip("diffrax")
jax = pytest.importorskip("jax")
jnp = jax.numpy


def test_every_adjoint_and_pytree_is_taken_and_what_it_has_not_is_said():
    """A state of two parts; second derivatives of the very steps by DirectAdjoint, and not by the others."""

    def of(t, y, args):
        return {"a": y["b"], "b": -args[0] * jnp.sin(y["a"]) * args[1].sum()}

    def by(adjoint):
        def own(y0, ts, args, dt0):
            term, at = diffrax.ODETerm(of), diffrax.SaveAt(ts=ts)
            how = {"saveat": at, "adjoint": adjoint, "max_steps": 8}
            return diffrax.diffeqsolve(term, diffrax.Heun(), ts[0], ts[-1], dt0, y0, args, **how).ys

        start, args = {"a": 1.0, "b": np.float32(0.5)}, (np.array(1.5), np.array([0.5, 0.25]))
        return odecheck.diffrax_pairs(own, of, start, [0.0, 1.0], args, dt0=0.25)[0]

    direct, problem = by(diffrax.DirectAdjoint())
    exact, found, step = direct.gradient(problem), direct.hessian(problem), 1e-5
    shifted = [problem.with_(theta=problem.theta + h * np.eye(3)[0]) for h in (step, -step)]
    ahead, behind = (direct.gradient(other).theta for other in shifted)
    np.testing.assert_allclose(found[2, 2:], (ahead - behind) / (2 * step), rtol=1e-8)
    again = by(diffrax.ForwardMode())[0]
    for name in ("y0", "theta", "ts"):
        np.testing.assert_allclose(getattr(again.gradient(problem), name), getattr(exact, name), rtol=1e-12)
    with pytest.raises(odecheck.Unsupported, match="DirectAdjoint"):
        again.hessian(problem)


def test_steps_of_one_length_and_a_copy_in_another_process():
    def own(field, y0, ts, *, dt0):
        term, at = diffrax.ODETerm(field), diffrax.SaveAt(ts=ts)
        return diffrax.diffeqsolve(term, diffrax.Heun(), ts[0], ts[-1], dt0, y0, saveat=at)

    subject, problem = odecheck.diffrax_pairs(own, lambda t, y, args: -y, np.ones(2), [1.0, 0.0], dt0=-0.1)[0]
    there = pickle.loads(pickle.dumps(subject))
    assert (there.name, there.solver.stepping, there.solver.order) == (subject.name, "fixed", 2)
    np.testing.assert_array_equal(there.solution(problem), subject.solution(problem))
    assert float(subject.solution(problem)[1, 0, 0]) == pytest.approx((1 + 0.1 + 0.005) ** 10, rel=1e-12)


def test_a_derivative_that_raises_is_an_error_of_the_subject_and_not_unsupported():
    @jax.custom_vjp
    def slope(y):
        return -y

    def broken(_, g):
        raise ValueError("no such derivative")

    slope.defvjp(lambda y: (-y, None), broken)

    def own(field, y0, ts, *, dt0):
        term, at = diffrax.ODETerm(field), diffrax.SaveAt(ts=ts)
        return diffrax.diffeqsolve(term, diffrax.Euler(), ts[0], ts[-1], dt0, y0, saveat=at)

    subject, problem = odecheck.diffrax_pairs(own, lambda t, y, args: slope(y), np.ones(1), [0.0, 1.0], dt0=0.5)[0]
    with pytest.raises(ValueError, match="no such derivative"):
        subject.gradient(problem)
