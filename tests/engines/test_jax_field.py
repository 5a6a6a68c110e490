"""A torch field in jax: its values are the reference's; what jax cannot have is unsupported."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference import catalogue

from odecheck import SHIPPED, Adaptive, Subject
from odecheck.engines.torchdiffeq import Seminorm
from odecheck.errors import Unsupported
from odecheck.problem_sets.conformance import switched
from odecheck.subject import tensor
from tests.engines.elsewhere import ELSEWHERE, decay_on


def test_jax_does_not_support_other_devices():
    pytest.importorskip("jax")
    from odecheck.engines.jax_field import jax_field

    with pytest.raises(Unsupported, match=r"jax.*meta"):
        jax_field(*decay_on(ELSEWHERE)[:2])


@pytest.mark.parametrize("problem", [*catalogue.full(), switched()], ids=lambda p: p.name)
def test_the_field_in_jax_is_the_reference_s(problem):
    """Against the numpy twin, not against the torch module that it was traced from."""
    pytest.importorskip("jax")
    from odecheck.engines.diffrax_program import jax_double
    from odecheck.engines.jax_field import jax_field

    jnp = jax_double().numpy
    module = Subject(SHIPPED, Adaptive(), Seminorm()).module(problem)
    field = jax_field(module, tensor(problem.y0))
    drawn = np.random.default_rng(1)
    for t in (problem.ts[0], 0.3, problem.ts[-1]):
        y = problem.y0 + 0.1 * drawn.standard_normal(problem.y0.shape)
        params = [jnp.asarray(p.detach().numpy()) for p in module.parameters()]
        true = problem.field.jet(float(t), y, problem.theta, 0).value
        found = np.asarray(field(jnp.asarray(float(t)), jnp.asarray(y), params))
        assert np.max(np.abs(found - true)) <= 1e-12 * max(1.0, float(np.max(np.abs(true))))


class Sorted(torch.nn.Module):
    def forward(self, t, y):
        return torch.sort(y, dim=-1).values


class Looks(torch.nn.Module):
    def forward(self, t, y):
        return y if float(t) < 0.1 else -y


@pytest.mark.parametrize(("module", "said"), [(Sorted(), "no translation into jax"), (Looks(), "cannot trace")])
def test_a_field_that_jax_cannot_have_is_unsupported(module, said):
    pytest.importorskip("jax")
    from odecheck.engines.diffrax_program import jax_double
    from odecheck.engines.jax_field import jax_field

    jax_double()
    with pytest.raises(Unsupported, match=said):
        jax_field(module, torch.zeros(1, 2, dtype=torch.float64))
