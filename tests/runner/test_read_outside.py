"""What the code of a field reads from outside belongs to it, wherever it is asked."""

from __future__ import annotations

import logging
import sys

import pytest
import torch
from torch import nn

from odecheck import Adaptive, Backprop, Subject, check, module_pairs, pairs
from odecheck.runner.limits import Limits
from odecheck.runner.read_outside import read_outside

SET = """
from types import SimpleNamespace
import torch
from odecheck import problems
from odecheck.fields.from_reference import torch_twin

SCALE, OPTIONS, TABLE = {scale}, SimpleNamespace(scale={scale}), torch.tensor({scale})

def scaled(y):
    return SCALE * y

class Field(torch.nn.Module):
    order = {scale}
    def __init__(self, theta):
        super().__init__()
        self.inner = torch_twin(problems()[0].field)(theta)
    def forward(self, t, y):
        return {value}
"""
SETS = """
import set_model
from odecheck import Adaptive, Backprop, Subject, problems
{line}
pairs = [(Subject(set_model.Field, Adaptive(), Backprop()), problems()[0])]
"""


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("scaled(self.inner(t, y))", "set_model.SCALE = {}"),
        ("OPTIONS.scale * self.inner(t, y)", "set_model.OPTIONS.scale = {}"),
        ("TABLE * self.inner(t, y)", "set_model.TABLE.fill_({})"),
        ("self.order * self.inner(t, y)", "set_model.Field.order = {}"),
    ],
)
@pytest.mark.parametrize(("scale", "by", "verdict"), [(2.0, 1.0, "holds"), (1.0, 2.0, "refuted")])
def test_what_a_file_sets_in_a_module_is_so_where_it_is_asked(tmp_path, monkeypatch, value, line, scale, by, verdict):
    """A new process imports the module as it stands: it would have judged another field."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "set_model.py").write_text(SET.format(scale=scale, value=value))
    (tmp_path / "sets_it.py").write_text(SETS.format(line=line.format(by)))
    for name in ("set_model", "sets_it"):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    records = check(pairs([str(tmp_path / "sets_it.py:pairs")]), claims=["SOL-1"], workers=1, limits=Limits(60.0))
    assert [r.verdict for r in records] == [verdict], records[0].message


FACTOR, SHIFTS = 2.0, {"a": [1, 2]}
ITSELF: list = [1]
ITSELF.append(ITSELF)


class Field(nn.Module):
    kind = "plain"

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)

    def forward(self, t, y):
        return FACTOR * self.net(y) + SHIFTS["a"][0] + ITSELF[0] + UNREADABLE.value


class Unreadable:
    """Of which nothing can be asked."""

    value = 0.0

    def __getattribute__(self, name):
        if name == "value":
            return 0.0
        raise RuntimeError(name)


UNREADABLE = None


def test_the_digest_is_of_what_the_code_reads_and_of_nothing_else(monkeypatch):
    subject = module_pairs(lambda t, y: y, [[1.0, 0.5]])[0][0]
    assert read_outside(subject) == read_outside(subject)
    field = Subject(Field, Adaptive(), Backprop())
    before = read_outside(field)
    for name, value in (("FACTOR", 3.0), ("SHIFTS", {"a": [1, 3]}), ("UNREADABLE", 1)):
        with monkeypatch.context() as patched:
            patched.setitem(globals(), name, value)
            assert read_outside(field) != before, name
    with monkeypatch.context() as patched:
        patched.setattr(Field, "kind", "other")
        assert read_outside(field) != before
    with monkeypatch.context() as patched:
        patched.setitem(globals(), "SETS", "nobody reads it")
        assert read_outside(field) == before


def test_a_script_is_the_same_in_a_new_process_and_loggers_do_not_count(monkeypatch):
    """There its module is called `__mp_main__`; and handlers of a log are nobody's field."""
    field = Subject(Field, Adaptive(), Backprop())
    before = read_outside(field)
    monkeypatch.setattr(Field, "__module__", "__mp_main__")
    assert read_outside(field) == before
    monkeypatch.setitem(globals(), "UNREADABLE", logging.getLogger("odecheck.test"))
    quiet = read_outside(field)
    logging.getLogger("odecheck.test").setLevel(3)
    assert read_outside(field) == quiet


def test_what_cannot_be_looked_at_costs_nothing(monkeypatch):
    """And hides nothing of what is read beside it."""
    monkeypatch.setitem(globals(), "UNREADABLE", Unreadable())
    before = read_outside(Subject(Field, Adaptive(), Backprop()))
    assert len(before) == 16
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert read_outside(Subject(Field, Adaptive(), Backprop())) != before
    monkeypatch.setitem(globals(), "UNREADABLE", torch.zeros(0))
    assert len(read_outside(Subject(Field, Adaptive(), Backprop()))) == 16
