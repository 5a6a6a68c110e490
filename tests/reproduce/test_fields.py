"""Fields as text: the lines compute what the reference's field does, in torch, jax's numpy and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference import catalogue
from odecheck_reference.losses import QuadraticCost

from odecheck.errors import BadInput
from odecheck.problem_sets.conformance import switched
from odecheck.reproduce.fields import ONLY_TORCH, in_language, lines, with_cost

PROBLEMS = [p for p in (*catalogue.full(), switched()) if type(p.field).__name__ != "GeneralisedHeavyBall"]


def of(body, **names):
    """f(t, y, p) of these lines."""
    scope = dict(names)
    exec("def f(t, y, p):\n" + "\n".join(f"    {line}" for line in body), scope)
    return scope["f"]


def drawn(problem):
    return problem.y0 + 0.1 * np.random.default_rng(1).standard_normal(problem.y0.shape)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_the_text_is_the_field_of_the_reference(problem):
    f, y = of(lines(problem.field), torch=torch), drawn(problem)
    for t in (problem.ts[0], 0.3, problem.ts[-1]):
        true = problem.field.jet(float(t), y, problem.theta, 0).value
        found = f(*map(torch.tensor, (np.float64(t), y, problem.theta))).numpy()
        assert np.max(np.abs(found - true)) <= 1e-13 * max(1.0, np.max(np.abs(true)))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_the_same_in_numpy_where_it_has_the_functions(problem):
    body = lines(problem.field)
    if any(name in line for line in body for name in ONLY_TORCH):
        with pytest.raises(BadInput, match="no text is known in numpy"):
            [in_language(line, "numpy") for line in body]
        return
    found = of([in_language(line, "numpy") for line in body], np=np)(0.3, drawn(problem), problem.theta)
    true = problem.field.jet(0.3, drawn(problem), problem.theta, 0).value
    assert np.max(np.abs(found - true)) <= 1e-13 * max(1.0, np.max(np.abs(true)))


def test_in_jax_functions_have_their_names_there():
    line = "return torch.cat([torch.nn.functional.softplus(y), torch.sigmoid(y)], -1)"
    assert in_language(line, "jax") == "return jnp.concatenate([jax.nn.softplus(y), jax.nn.sigmoid(y)], -1)"


def test_an_integral_is_one_more_component():
    problem, cost = catalogue.full()[0], QuadraticCost(state_weight=2.0, theta_weight=0.1, time_weight=0.5)
    y, t = drawn(problem), np.float64(0.3)
    f = of(with_cost(lines(problem.field), cost), torch=torch)
    found = f(*map(torch.tensor, (t, np.c_[y, np.zeros(len(y))], problem.theta))).numpy()
    assert np.allclose(found[:, :-1], problem.field.jet(0.3, y, problem.theta, 0).value, rtol=1e-14)
    by_hand = 0.5 * (2.0 * (y**2).sum(-1) + 0.1 * (problem.theta**2).sum()) + 0.5 * 0.3 * y[:, 0]
    assert np.allclose(found[:, -1], by_hand, rtol=1e-14)


def test_what_has_no_text_is_refused_by_name():
    with pytest.raises(BadInput, match="no text is known for the field object"):
        lines(object())
    with pytest.raises(BadInput, match="no text is known for the running cost object"):
        with_cost(["return y"], object())
