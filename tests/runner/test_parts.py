"""What a worker makes of a unit that it gets: one that it cannot read, or reads otherwise, is done by a copy."""

from __future__ import annotations

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from odecheck import check, pairs
from odecheck.claims.find import found as named
from odecheck.record import is_refused
from odecheck.runner import units
from odecheck.runner.case import Unit
from odecheck.runner.limits import Limits
from odecheck.runner.units import Work, through_executor

PREPARED = """
import sys, types
from odecheck import Adaptive, Backprop, Subject, problems

sys.modules["a_package_that_is_not_here"] = types.ModuleType("a_package_that_is_not_here")
before, sys.argv = sys.argv, ["their_model.py", "--width", "5"]
import their_model
sys.argv = before
pairs = [(Subject(their_model.Field, Adaptive(), Backprop()), problems()[0])]
"""
THEIRS = """
import argparse
import a_package_that_is_not_here
import torch
from odecheck import problems
from odecheck.fields.from_reference import torch_twin

parser = argparse.ArgumentParser()
parser.add_argument("--width", type=int, required=True)
parser.parse_args()

class Field(torch.nn.Module):
    def __init__(self, theta):
        super().__init__()
        self.inner = torch_twin(problems()[0].field)(theta)
    def forward(self, t, y):
        return self.inner(t, y)
"""


def written(tmp_path, monkeypatch, **files: str) -> None:
    """Modules by their names, which this process has not imported, and which it forgets."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("a_package_that_is_not_here", *files):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)


def prepared(tmp_path, monkeypatch) -> list:
    """Pairs of a file that has prepared its process for a module that no new process can import."""
    written(tmp_path, monkeypatch, their_model=THEIRS, prepared_model=PREPARED)
    return pairs([str(tmp_path / "prepared_model.py:pairs")])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_prepares_its_process_is_verified_in_a_copy_of_it(tmp_path, monkeypatch, workers):
    found = prepared(tmp_path, monkeypatch) + pairs()[:1]
    records = check(found, claims=["SOL-1", "SOL-9"], workers=workers, limits=Limits(seconds=60.0))
    assert [r.verdict for r in records] == ["holds"] * 4, [r.message for r in records]


def test_what_no_other_process_can_read_is_refused_with_what_to_type(tmp_path, monkeypatch):
    found = prepared(tmp_path, monkeypatch)
    work = Work(Unit(*found[0], named(["SOL-9"])), pickle.dumps(found[0][0]), pickle.dumps(found[0][1]), 0, True)
    monkeypatch.setattr(units, "CAN_FORK", False)
    for records in (units.through_pool([work], 1), through_executor(ThreadPoolExecutor(1), [work])):
        (record,) = records
        assert is_refused(record)
        assert "another process cannot read the subject: ModuleNotFoundError" in record.message
        assert "sys.modules" in record.message


FLOATS = """
import torch
from odecheck import module_pairs
torch.set_default_dtype(torch.float64)

class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(3, 2)
    def forward(self, t, y):
        return self.net(torch.cat([torch.ones(len(y), 1) * t, y], 1))

pairs = module_pairs(Field(), torch.tensor([[1.0, 0.5]]))[:1]
"""


def test_the_default_dtype_of_a_users_file_is_that_of_its_field(tmp_path, monkeypatch):
    """Its times would be rounded to float32 in a process that does not know."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "floating_model.py").write_text(FLOATS)
    try:
        records = check(pairs([str(tmp_path / "floating_model.py:pairs")]), claims=["SOL-9"], workers=2)
    finally:
        torch.set_default_dtype(torch.float32)
    assert [r.verdict for r in records] == ["holds"], records[0].message


CONTROLLED = """
import sys, types
import torch
from odecheck import module_pairs

sys.modules["a_package_that_is_not_here"] = types.ModuleType("a_package_that_is_not_here")
import controlled_model
pairs = controlled_model.Field(), torch.ones(3, 2)
"""
CONTROL = """
import a_package_that_is_not_here
import torch

class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.control = torch.nn.Linear(2, 2), torch.arange(6.0).reshape(3, 2)
    def forward(self, t, y):
        return torch.tanh(self.net(y)) * self.control
"""


def test_what_a_field_is_asked_before_is_asked_in_a_copy_too(tmp_path, monkeypatch):
    """A field that is made for this batch alone: its rows are one state, which it takes a call to know."""
    written(tmp_path, monkeypatch, controlled_model=CONTROL, prepares_it=CONTROLLED)
    (_, problem), *_ = pairs([str(tmp_path / "prepares_it.py:pairs")], limits=Limits(60.0))
    assert problem.y0.shape == (1, 6)
