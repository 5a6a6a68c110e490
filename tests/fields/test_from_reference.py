"""The torch twins agree with their numpy fields to second order; a twin that is wrong in one entry is refuted."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import iter_modules

import pytest
import torch
from odecheck_reference import fields as exact
from torch import nn

import odecheck.fields
from odecheck.fields.from_reference import torch_twin
from odecheck.fields.parts import PartedField
from tests.field_zoo import (
    NET,
    WrongSecond,
    disagreement,
    each_field,
    joint,
    mismatch,
    of_twin,
    point,
    twin,
    wrong_seconds,
)


@each_field
@pytest.mark.parametrize("seed", [1, 2])
def test_twins_agree_to_second_order(field, seed):
    """Automatic differentiation of the twin, the derivatives made by hand, and complex steps of the formula."""
    seen = of_twin(joint(twin(field, seed), field.state), field, seed)
    assert max(disagreement(field, seen, seed)) <= 1e-12
    jet = field.jet(*point(field, seed, batch=1), 2)
    pairs = ((seen.value, jet.value), (seen.first, jet.first), (seen.second, jet.second))
    assert max(mismatch(*pair) for pair in pairs) <= 1e-12


@each_field
def test_a_twin_with_a_wrong_second_derivative_is_refuted(field):
    """Its value and first derivatives are right everywhere; in each block one entry, or one mixed term, is not."""
    function, jet = joint(twin(field, 1), field.state), field.jet(*point(field, 1, batch=1), 2)
    mistakes = {n: w for n, w in wrong_seconds(field, jet.second) if n.endswith(("on both sides", "term missing"))}
    assert mistakes
    for name, wrong in mistakes.items():
        seen = of_twin(WrongSecond(function, (wrong - jet.second)[0]), field, 1)
        value, first, second = disagreement(field, seen, 1)
        assert max(value, first) <= 1e-12 < second, name


def test_every_model_of_named_parts_can_be_imported_from_the_package():
    """Where type checkers and people look for it."""
    found = [import_module(one.name) for one in iter_modules(odecheck.fields.__path__, "odecheck.fields.")]
    models = {
        one.__name__: module.__name__
        for module in found
        for one in vars(module).values()
        if inspect.isclass(one) and issubclass(one, PartedField) and one.__module__ == module.__name__
    }
    assert len(models) >= 7
    for name, where in models.items():
        file = where.rsplit(".", 1)[-1]
        assert name in odecheck.fields.__all__ or name == "PartedField", (
            f"{name} is not in odecheck.fields.__all__: type, in its __init__.py, from .{file} import {name}"
        )


@each_field
def test_twins_agree_on_a_batch_and_own_their_parameters(field):
    t, y, theta = point(field, 2, batch=3)
    given = torch.tensor(theta)
    module = torch_twin(field)(given)
    flat = torch.cat([p.detach().reshape(-1) for p in module.parameters()] or [given])
    assert torch.equal(flat, given) and flat.dtype == torch.float64
    got = module(torch.tensor(t, dtype=torch.float64), torch.tensor(y)).detach().numpy()
    assert mismatch(got, field.jet(t, y, theta, 0).value) <= 1e-12
    given.zero_()
    assert mismatch(module(torch.tensor(t, dtype=torch.float64), torch.tensor(y)).detach().numpy(), got) == 0


class Scaled(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, t, y):
        return (1 + 1e-10) * self.inner(t, y)


class TimeStopped(Scaled):
    def forward(self, t, y):
        return self.inner(0 * t, y)


class Detached(Scaled):
    def forward(self, t, y):
        return self.inner(t, y.detach())


@each_field
def test_wrong_twins_are_refuted(field):
    t, y, theta = point(field, 1, batch=1)
    depends_on_time = field.jet(t, y, theta, 1).first[..., 0].any()
    mutants = [Scaled, Detached] + ([TimeStopped] if depends_on_time else [])
    seen = {m.__name__: of_twin(joint(m(twin(field)), field.state), field, 1) for m in mutants}
    assert [name for name, jet in seen.items() if max(disagreement(field, jet, 1)) <= 1e-12] == []


def test_parameters_in_another_order_are_refuted():
    field = exact.GeneralisedHeavyBall(NET, exact.Free(), exact.Free())
    module = twin(field)
    gamma = module.gamma
    del module.gamma
    module.gamma = gamma  # now it comes after xi
    assert max(disagreement(field, of_twin(joint(module, field.state), field, 1), 1)) > 1e-3
