"""A library's call as text: keywords that Python reads back, and solves that give numpy's arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from odecheck.engines.script_call import Call, keywords, like_torchdiffeq, text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1e-7, "1e-07"),
        (0.1, "0.1"),
        (1 / 3, repr(1 / 3)),
        ("dopri5", "'dopri5'"),
        (1000, "1000"),
        ({"step_size": 0.05, "norm": "seminorm"}, "{'step_size': 0.05, 'norm': 'seminorm'}"),
        (torch.tensor([0.5], dtype=torch.float64), "torch.tensor([0.5], dtype=torch.float64)"),
    ],
)
def test_a_value_is_its_text(value, expected):
    assert text(value) == expected
    back = eval(expected, {"torch": torch})
    assert torch.equal(back, value) if isinstance(value, torch.Tensor) else back == value


def test_keywords_are_those_of_a_call():
    assert keywords({"rtol": 1e-7, "method": "rk4"}) == "rtol=1e-07, method='rk4'"


def test_the_call_of_a_function_like_torchdiffeqs():
    line = "from torchdiffeq import odeint"
    made = like_torchdiffeq(line, "return odeint(field, y0, ts, **how)", {"rtol": 0.1}, {"step_size": 0.5}, {"a": 1})
    assert made.imports == [line] and made.how == "rtol=0.1, options={'step_size': 0.5}, a=1"
    assert made.step == "['options']['step_size']"
    assert "options" not in like_torchdiffeq(line, "", {"rtol": 0.1}, {}).how


def solve(y0, *given, **how):
    """Whatever the language: twice y0, times the factor."""
    ts = given[-1]
    return torch.stack([how["factor"] * y0] * len(ts)) if isinstance(y0, torch.Tensor) else how["factor"] * y0 + 0 * ts


def of_torch(field, y0, ts, **how):
    return solve(y0, ts, **how).requires_grad_()


def test_a_solve_in_each_language_gives_an_array():
    names = {"np": np, "jnp": np, "torch": torch, "Field": lambda p: p, "y0": np.array([1.0]), "p": 0, "ts": np.ones(1)}
    for language, function in (("torch", of_torch), ("jax", solve), ("numpy", solve)):
        call = Call([], [], "factor=2.0", language)  # type: ignore[arg-type]
        found = eval(call.states(), {**names, "solve": function})
        assert isinstance(found, np.ndarray) and found.ravel().tolist() == [2.0], language
        again = eval(call.states("3 * y0", how="factor=1.0"), {**names, "solve": function})
        assert again.ravel().tolist() == [3.0], language
