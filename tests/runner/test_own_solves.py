"""A user's own solve of diffrax: right ones hold, wrong ones are refuted, and what cannot be verified is refused."""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import odecheck
from odecheck import BadInput
from odecheck.claims import ALL
from odecheck.record import evaluate
from odecheck.runner.validation import validate

diffrax = pytest.importorskip("diffrax")
jax = pytest.importorskip("jax")
jnp = jax.numpy
CLAIMS = {claim.id: claim for claim in ALL}
K = {"k": np.array(1.5)}


def field(t, y, args):
    return -args["k"] * y * (1 + 0.5 * t)


def solve(y0, ts, args, *, rtol, atol, term=field, at=None, **more):
    control = diffrax.PIDController(rtol, atol)
    how = {"saveat": diffrax.SaveAt(ts=ts if at is None else at), "stepsize_controller": control, **more}
    return diffrax.diffeqsolve(diffrax.ODETerm(term), diffrax.Tsit5(), ts[0], ts[-1], None, y0, args, **how)


def pair(function=solve, of=field, y0: Any = 1.0, args: Any = K, **how):
    return odecheck.diffrax_pairs(function, of, y0, [0.0, 1.0], args, **how)[0]


def verdicts(pair, *names: str):
    return [evaluate(CLAIMS[name], *pair).verdict for name in names]


def test_a_right_solve_holds():
    found = pair(rtol=1e-8)
    validate(*found)
    assert verdicts(found, "SOL-2", "NODE-2", "NODE-3", "NODE-4") == ["holds", "holds", "holds", "unsupported"]
    assert found[0].gradient(found[1]).no_times == ""
    assert found[0].name == "field, Tsit5(rtol=1e-08), own diffeqsolve, RecursiveCheckpointAdjoint"


def captured(y0, ts, args, *, rtol, atol):
    return solve(y0, ts, K, rtol=rtol, atol=atol)


def cut_start(y0, ts, args, *, rtol, atol):
    return solve(y0 - 0.1 * y0 + 0.1 * jax.lax.stop_gradient(y0), ts, args, rtol=rtol, atol=atol)


def other_times(y0, ts, args, *, rtol, atol):
    return solve(y0, ts, args, rtol=rtol, atol=atol, at=ts[0] + (ts - ts[0]) * 0.999)


def loose_adjoint(y0, ts, args, *, rtol, atol):
    adjoint = diffrax.BacksolveAdjoint(stepsize_controller=diffrax.PIDController(1e-1, 1e-1))
    return solve(y0, ts, args, rtol=rtol, atol=atol, adjoint=adjoint)


@jax.custom_vjp
def nearly(y, k):
    return -k * y


nearly.defvjp(lambda y, k: (-k * y, (y, k)), lambda kept, g: (-1.001 * kept[1] * g, -kept[0] * g))


@pytest.mark.parametrize(
    ("wrong", "claim"),
    [
        (captured, "NODE-2"),
        (cut_start, "NODE-1"),
        (other_times, "SOL-2"),
        (loose_adjoint, "NODE-2"),
    ],
)
def test_a_wrong_solve_is_refuted(wrong, claim):
    found = pair(wrong)
    assert verdicts(found, claim) == ["refuted"]
    if wrong is loose_adjoint:
        assert verdicts(found, "NODE-3") == ["unsupported"]


def test_a_field_with_a_wrong_backward_pass_is_refused():
    def of(t, y, args):
        return nearly(y, args["k"])

    with pytest.raises(BadInput, match="derivative"):
        validate(*pair(lambda y0, ts, args, rtol, atol: solve(y0, ts, args, rtol=rtol, atol=atol, term=of), of))


def given(function, **how):
    with pytest.raises(BadInput) as refused:
        pair(function, **how)
    return str(refused.value)


def of_its_own(**bound):
    """A solve in which something is not what it is given."""

    def own(y0, ts, args, rtol, atol):
        how = {"t0": ts[0], "t1": ts[-1], "dt0": None, "y0": y0, "args": args}
        control = diffrax.PIDController(rtol, atol)
        how |= {"saveat": diffrax.SaveAt(ts=ts), "stepsize_controller": control, **bound}
        return diffrax.diffeqsolve(diffrax.ODETerm(field), diffrax.Tsit5(), **how)

    return own


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda y0, ts, args: y0, "does not take rtol, atol"),
        (lambda model, ts, y0: y0, "solve takes model, which it is not given"),
        (lambda y0, ts, rtol, atol: y0, "does not take args, and there are parameters in it"),
        (lambda y0, ts, args, rtol, atol: y0 * ts, "diffeqsolve 0 times"),
        (of_its_own(t0=0.0), "t0 is 0.0, whatever"),
        (of_its_own(saveat=diffrax.SaveAt(t1=True)), "has shape (1,) where (2,)"),
        (of_its_own(stepsize_controller=diffrax.PIDController(1e-3, 1e-6)), "rtol is 0.001, whatever"),
        (of_its_own(stepsize_controller=diffrax.ConstantStepSize(), dt0=0.1), "ConstantStepSize, and solve takes rtol"),
        (of_its_own(stepsize_controller=diffrax.ConstantStepSize()), "pass a value for `dt0`"),
        (of_its_own(y0=np.float32(1.0)), "y0 of diffeqsolve has float32"),
        (of_its_own(max_steps=2), "used up its max_steps=2"),
        (lambda y0, ts, args, rtol, atol: {"y": of_its_own()(y0, ts, args, rtol, atol).ys}, "is the pytree"),
    ],
)
def test_what_cannot_be_verified_is_refused(function, words):
    assert words in given(function)


def test_other_states_and_fields_are_refused():
    assert "complex128" in given(solve, y0=1j) and "complex128" in given(solve, args={"k": np.array(1j)})
    assert "no numbers" in given(solve, y0=()) and "no array of numbers" in given(solve, y0="text")
    assert "field(t, y, args) raised" in given(solve, of=lambda t, y: y)
    assert "the field's value is the pytree" in given(solve, of=lambda t, y, args: (y, y))
    assert "cannot be called" in given(solve, of=K) and "cannot be called" in given(K)
    assert "rtol is -1" in given(solve, rtol=-1.0) and "dt0 would be ignored" in given(solve, dt0=0.1)
