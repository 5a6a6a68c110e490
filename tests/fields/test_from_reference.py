"""The torch twins agree with their numpy fields to second order; a twin that is wrong in one entry is refuted."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest
import torch
from odecheck_reference import fields as exact
from torch import nn

import odecheck.fields
from odecheck.fields import from_reference
from odecheck.fields.from_reference import torch_twin
from odecheck.fields.parts import PartedField
from tests.field_zoo import (
    FIELDS,
    NET,
    WrongSecond,
    disagreement,
    each_field,
    examples,
    files,
    joint,
    mismatch,
    of_twin,
    point,
    twin,
    without_example,
    without_twin,
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


def test_every_field_has_a_twin():
    assert without_twin(FIELDS) == []
    (said,) = without_twin({"mine": "no field"})
    assert said.startswith("mine: no torch module is known for str") and "register one" in said


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


NUMPY_FILE = """
from dataclasses import dataclass
from odecheck_reference.fields.field import Jet
import numpy as np


@dataclass(frozen=True)
class Cubic:
    state, params, parts = 1, 1, {"h": slice(0, 1)}

    def jet(self, t, y, theta, order):
        value = -theta[0] * y**3
        first = np.stack([0 * y, -3 * theta[0] * y**2, -(y**3)], -1)
        second = np.zeros((*y.shape, 3, 3), dtype=value.dtype)
        second[..., 1, 1] = -6 * theta[0] * y
        second[..., 1, 2] = second[..., 2, 1] = WRONG * y**2
        return Jet(value, first if order else None, second if order == 2 else None)


EXAMPLES = {"cubic": Cubic()}
"""
TORCH_FILE = """
import torch
from odecheck_reference.fields import cubic as exact
from .twins import build


class Cubic(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.k = torch.nn.Parameter(torch.zeros(1))

    def forward(self, t, y):
        return -self.k * y**3


@build.register
def _(field: exact.Cubic) -> torch.nn.Module:
    return Cubic()
"""


@pytest.mark.parametrize("wrong", [False, True])
def test_a_new_field_is_two_files_and_is_looked_at(tmp_path, monkeypatch, wrong):
    texts = (NUMPY_FILE.replace("WRONG", "-3.0003" if wrong else "-3"), TORCH_FILE)
    for package, text in zip((exact, odecheck.fields), texts, strict=True):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "cubic.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    try:
        made = examples(files())
        assert len(made) == len(FIELDS) + 1 and len(without_twin(made)) == 1
        from_reference._find()
        assert without_twin(made) == [] and without_example(files()) == []
        field = made["cubic"]
        seen = of_twin(joint(twin(field, 1), 1), field, 1)
        assert max(disagreement(field, seen, 1)) <= 1e-12
        assert (mismatch(field.jet(*point(field, 1, batch=1), 2).second, seen.second) > 1e-12) == wrong
    finally:
        for package in (exact, odecheck.fields):
            sys.modules.pop(f"{package.__name__}.cubic", None)
            vars(package).pop("cubic", None)


def test_a_twin_switches_at_the_very_time():
    module = torch_twin(exact.Switched(at=0.7))(torch.tensor([-1.5, 0.25], dtype=torch.float64))
    y = torch.tensor([[2.0]], dtype=torch.float64)
    for t, rate in ((np.nextafter(0.7, 0), -1.5), (0.7, 0.25)):
        assert module(torch.tensor(t, dtype=torch.float64), y).item() == rate * 2


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


def test_a_field_of_your_own_can_have_a_twin():
    with pytest.raises(TypeError, match=r"register one: @odecheck\.fields\.from_reference\.build\.register for str"):
        torch_twin("mine")(torch.zeros(1))
    with pytest.raises(ValueError, match=r"theta has shape \(2,\), but Lorenz has 3 parameters"):
        torch_twin(exact.Lorenz())(torch.zeros(2))
