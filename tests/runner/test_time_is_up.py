"""The time for all cases together: what has no answer when it is up was not asked, and is nobody's error."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from odecheck import Adaptive, Backprop, Subject, pairs, problems
from odecheck.claims.find import found
from odecheck.errors import BadInput
from odecheck.judge import Verdict
from odecheck.records.run_folder import read_records
from odecheck.runner.case import Unit
from odecheck.runner.limits import TIME_IS_UP, Limits, Printed
from odecheck.runner.parts import _timed, _trouble
from odecheck.runner.pool import Failure
from odecheck.runner.run import run_units
from odecheck.runner.units import _ended

SLEEPING = """
import time

import torch

from odecheck import SHIPPED, Adaptive, Backprop, Subject, problems
from odecheck.fields.from_reference import torch_twin


class Sleeping(torch.nn.Module):
    def __init__(self, theta):
        super().__init__()
        self.inner = torch_twin(problems()[0].field)(theta)

    def forward(self, t, y):
        time.sleep(60)
        return self.inner(t, y)


pairs = [(Subject(field, Adaptive(), Backprop()), problems()[0]) for field in (SHIPPED, Sleeping)]
"""


def unit() -> Unit:
    return Unit(Subject(None, Adaptive("dopri5", rtol=1e-5), Backprop()), problems()[0], found(["SOL-2", "SOL-9"]))


@pytest.mark.parametrize("validate", [True, False])
def test_a_case_that_goes_on_for_ever_ends_with_the_time_and_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, validate: bool
):
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"sleeping_{validate}".lower()
    (tmp_path / f"{name}.py").write_text(SLEEPING)
    units = [Unit(s, p, found(["SOL-2"])) for s, p in pairs([str(tmp_path / f"{name}.py:pairs")])]
    how = {"isolated": True, "validate": validate, "folder": tmp_path / "run"}
    records = run_units(units, **how, limits=Limits(until=time.time() + 4.0))
    assert records[1].verdict is Verdict.NOT_ASKED and records[1].message == TIME_IS_UP and records[1].ok
    assert records[1].key not in {record.key for record in read_records(tmp_path / "run")[0]}


def test_without_time_nothing_is_begun():
    over = Limits(until=time.time() - 1.0)
    assert over.over and over.left is not None and over.left > 0
    with Printed() as printed:
        record = _timed(unit(), 0, over, printed)
    assert record.verdict is Verdict.NOT_ASKED and not record.nfe
    assert [r.verdict for r in _trouble(unit(), 0, over)] == [Verdict.NOT_ASKED] * 2


def test_a_limit_of_its_own_is_an_error_and_the_end_of_all_time_is_none():
    died = Failure("died", "its process died", 7.0)
    assert {r.verdict for r in _ended(unit(), died, Limits(seconds=5.0, until=time.time() + 60))} == {Verdict.ERROR}
    assert {r.verdict for r in _ended(unit(), died, Limits(seconds=5.0, until=time.time() - 1))} == {Verdict.NOT_ASKED}


def test_the_shorter_one_counts():
    now = time.time()
    assert Limits().left is None and not Limits().over
    assert Limits(seconds=3.0).left == 3.0 == Limits(seconds=3.0, until=now + 1e6).left
    assert 0 < (Limits(seconds=1e6, until=now + 5.0).left or 0) <= 5.0
    with pytest.raises(BadInput):
        Limits(seconds=0.0)
