"""A kept verdict belongs to the code that was judged: what was changed is asked again, and that is said."""

from __future__ import annotations

import copy
import importlib
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from odecheck import Adaptive, Adjoint, check, problems
from odecheck.records.run_folder import read
from odecheck.runner.case import Unit
from odecheck.runner.code_digest import code_of_claim, code_of_unit
from odecheck.runner.targets import module_pairs
from odecheck.subject import SHIPPED, Subject

MODEL = """
import torch
from digest_helper import factor

class Inner(torch.nn.Module):
    def forward(self, y):
        return -y * factor()

class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.5], dtype=torch.float64))
        self.register_buffer("shift", torch.zeros(1, dtype=torch.float64))
        self.inner, self.power = Inner(), 1

    def forward(self, t, y):
        return self.weight * self.inner(y) + self.shift
"""


@pytest.fixture
def field(tmp_path, monkeypatch):
    """Write the files of a user, with changes, and import them anew."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(**changes: str):
        for name, text in (("digest_model", MODEL), ("digest_helper", "def factor(): return 1.0")):
            for old, new in changes.items():
                text = text.replace(old.replace("_", " "), new)
            (tmp_path / f"{name}.py").write_text(text)
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("digest_model").Field()

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield load
    for name in ("digest_model", "digest_helper"):
        sys.modules.pop(name, None)


def unit(module) -> Unit:
    subject, problem = module_pairs(module, np.array([[1.0, 0.5]]), name="a module")[0]
    return Unit(subject, problem, ())


def test_the_digest_is_that_of_the_source_and_of_what_the_module_holds(field):
    first = code_of_unit(unit(field()))
    assert code_of_unit(unit(field())) == first
    assert code_of_unit(unit(field(return_1="return 2"))) != first  # the file that the model's file uses
    assert code_of_unit(unit(field(def_forward="def  forward"))) != first
    changed = field()
    changed.shift += 0.25
    assert code_of_unit(unit(changed)) != first
    changed = field()
    changed.power = 2
    assert code_of_unit(unit(changed)) != first
    with torch.no_grad():
        (changed := field()).weight.fill_(0.75)
    assert code_of_unit(unit(changed)) != first


def test_the_options_of_a_solver_and_the_numbers_of_a_loss_belong_to_it():
    subject, problem = Subject(SHIPPED, Adaptive("dopri5"), Adjoint()), problems()[0]
    first = code_of_unit(Unit(subject, problem, ()))
    assert code_of_unit(Unit(subject, problem.with_(), ())) == first
    other = replace(subject, solver=Adaptive("dopri5", options={"first_step": 0.1}))
    assert code_of_unit(Unit(other, problem, ())) != first
    assert code_of_unit(Unit(subject, problem.with_(loss=problems()[1].loss), ())) != first


def test_a_changed_field_is_asked_again_on_resuming_and_that_is_said(tmp_path, field):
    def run(module, **options):
        pairs = module_pairs(module, np.array([[1.0, 0.5]]), name="a module")[:1]
        return check(pairs, claims=["SOL-2", "SOL-9"], folder=tmp_path / "run", validate=False, **options)

    (before, _) = run(field())
    asked = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(field(), resume=True, progress=asked.append)
    assert not asked
    with pytest.warns(UserWarning, match="the code of 2 of 2 kept records was changed"):
        (after, _) = run(field(return_1="return 2"), resume=True, progress=asked.append)
    assert [record.claim for record in asked] == ["SOL-2", "SOL-9"]
    assert after.expected != before.expected
    assert read(tmp_path / "run")[1][0].expected == after.expected


def test_a_changed_claim_is_another():
    from odecheck.claims.papers.solution import flow_is_met

    assert code_of_claim(flow_is_met) == code_of_claim(flow_is_met)
    assert code_of_claim(flow_is_met) != code_of_claim(replace(flow_is_met, resolution=1.0))


class Unshown(torch.nn.Module):
    """As a layer of a public project, whose text names what it has not."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.net, self.factor = torch.nn.Linear(2, 2), factor

    def __repr__(self):
        return f"{self.in_features} in"

    def forward(self, t, y):
        return self.factor * self.net(y)


def test_a_module_that_cannot_be_shown_has_a_digest():
    def code(module: torch.nn.Module) -> str:
        subject, problem = module_pairs(module, [[1.0, 0.5]])[0]
        return code_of_unit(Unit(subject, problem, ()))

    torch.manual_seed(0)
    module = Unshown()
    assert code(module) == code(copy.deepcopy(module))
    other = copy.deepcopy(module)
    other.factor = 2.0
    assert code(module) != code(other)
