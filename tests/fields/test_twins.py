"""Every numpy field has a torch twin, and one of your own is registered in a file of your own."""

from __future__ import annotations

import sys

import pytest
import torch
from odecheck_reference import fields as exact

import odecheck.fields
from odecheck.fields import from_reference
from odecheck.fields.from_reference import torch_twin
from tests.field_zoo import (
    FIELDS,
    disagreement,
    examples,
    files,
    joint,
    mismatch,
    of_twin,
    point,
    twin,
    without_example,
    without_twin,
)


def test_every_field_has_a_twin():
    assert without_twin(FIELDS) == []
    (said,) = without_twin({"mine": "no field"})
    assert said.startswith("mine: no torch module is known for str") and "register one" in said


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


def test_a_field_of_your_own_can_have_a_twin():
    with pytest.raises(TypeError, match=r"register one: @odecheck\.fields\.from_reference\.build\.register for str"):
        torch_twin("mine")(torch.zeros(1))
    with pytest.raises(ValueError, match=r"theta has shape \(2,\), but Lorenz has 3 parameters"):
        torch_twin(exact.Lorenz())(torch.zeros(2))
