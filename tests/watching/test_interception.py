"""Every reference to a solver is seen, wherever it is held; afterwards nothing is left of it."""

from __future__ import annotations

import functools
import inspect
import shutil
import sys
from pathlib import Path

import pytest
import torch
import torchdiffeq
from torchdiffeq import odeint as by_name

from odecheck.watching.step import watch

Y0, T = torch.ones(2, 1), torch.tensor([0.0, 1.0])
IN_A_PARTIAL = functools.partial(torchdiffeq.odeint, rtol=1e-3)


def decay(t, y):
    """y' = −y."""
    return -y


def in_a_default(solve=torchdiffeq.odeint):
    """A reference in a default argument."""
    return solve(decay, Y0, T)


def in_a_closure():
    """A reference in a closure."""
    solve = torchdiffeq.odeint_adjoint
    return lambda: solve(decay, Y0, T, adjoint_params=())


class Holder:
    """A reference in a class attribute."""

    solve = staticmethod(torchdiffeq.odeint)


@pytest.mark.parametrize(
    "call",
    [
        lambda: by_name(decay, Y0, T),
        lambda: torchdiffeq.odeint(decay, Y0, t=T),
        lambda: IN_A_PARTIAL(decay, Y0, T),
        in_a_default,
        in_a_closure(),
        lambda: Holder.solve(decay, Y0, T),
    ],
)
def test_a_reference_is_seen_wherever_it_is_held(call):
    with watch() as step:
        call()
    assert len(step.calls) == 1
    assert step.calls[0].where.startswith("test_interception.py:")


def test_afterwards_the_functions_are_what_they_were():
    before = torchdiffeq.odeint.__code__, torchdiffeq.odeint.__kwdefaults__, inspect.signature(torchdiffeq.odeint)
    with watch():
        inside = inspect.signature(torchdiffeq.odeint)
    assert inside == before[2]
    now = torchdiffeq.odeint.__code__, torchdiffeq.odeint.__kwdefaults__, inspect.signature(torchdiffeq.odeint)
    assert now == before
    assert "__signature__" not in vars(torchdiffeq.odeint)
    assert not any(type(finder).__module__.startswith("odecheck.watching") for finder in sys.meta_path)


WRAPPED = """

class Compiled:
    def __init__(self, function):
        self.function = function

    @property
    def __wrapped__(self):
        return self.function

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)


odeint = Compiled(odeint)
"""


@pytest.mark.parametrize("more", ["", WRAPPED])
def test_a_copy_of_the_library_imported_later_is_seen(tmp_path, monkeypatch, more):
    shutil.copytree(Path(torchdiffeq.__file__).parent, tmp_path / "copied_solver")
    with (tmp_path / "copied_solver/_impl/odeint.py").open("a", encoding="utf-8") as file:
        file.write(more)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        with watch() as step:
            import copied_solver  # pyright: ignore[reportMissingImports]

            copied_solver.odeint(decay, Y0, T)
        assert [call.posed.function for call in step.calls] == ["odeint"]
    finally:
        for name in [n for n in sys.modules if n.startswith("copied_solver")]:
            del sys.modules[name]


def test_an_adjoint_solve_and_its_backward_are_one_row():
    field = torch.nn.Linear(1, 1)
    with watch() as step:
        torchdiffeq.odeint_adjoint(lambda t, y: field(y), Y0, T, adjoint_params=field.parameters())[-1].sum().backward()
    assert [call.posed.function for call in step.calls] == ["odeint_adjoint"]
    assert field.weight.grad is not None


def test_an_exception_of_the_step_goes_on_and_is_a_row():
    with pytest.raises(ZeroDivisionError), watch() as step:
        torchdiffeq.odeint(lambda t, y: 1 / 0 * y, Y0, T)
    assert "ZeroDivisionError" in step.rows[0].notes[0].text
    assert torchdiffeq.odeint.__name__ == "odeint"


def test_a_wrong_call_raises_what_it_raises_without():
    with pytest.raises(TypeError) as plain:
        torchdiffeq.odeint(decay, Y0)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError) as watched, watch():
        torchdiffeq.odeint(decay, Y0)  # pyright: ignore[reportCallIssue]
    assert str(watched.value) == str(plain.value)


def test_a_field_that_cannot_be_looked_at_does_not_stop_the_step():
    class Shy:
        @property
        def __dict__(self):
            raise RuntimeError("do not look")

        def __call__(self, t, y):
            return -y

    with watch() as step:
        y = torchdiffeq.odeint(Shy(), Y0, T)
    assert torch.equal(y, torchdiffeq.odeint(Shy(), Y0, T))
    assert len(step.calls) == 1
    assert str(step)


def test_now_and_then():
    watching = watch(every=3)
    seen = []
    for _ in range(7):
        with watching as step:
            torchdiffeq.odeint(decay, Y0, T)
        seen.append(len(step.calls) if step else None)
    assert seen == [1, None, None, 1, None, None, 1]


def test_one_inside_another_takes_its_own():
    with watch() as outer:
        torchdiffeq.odeint(decay, Y0, T)
        with watch() as inner:
            torchdiffeq.odeint(decay, Y0, T)
        torchdiffeq.odeint(decay, Y0, T)
    assert (len(outer.calls), len(inner.calls)) == (2, 1)


def test_a_solve_inside_a_transform_goes_through():
    with watch() as step:
        got = torch.func.grad(lambda y: torchdiffeq.odeint(decay, y, T, method="rk4")[-1].sum())(Y0)
    assert torch.allclose(got, torch.full_like(Y0, 0.375), atol=1e-6)
    assert "inside of a transform of torch.func" in step.rows[0].reason
    assert step.rows[0].verdict.value == "inconclusive"
