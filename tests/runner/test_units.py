"""Units of work in other processes: what dies is a record, and its neighbours have their own."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

from odecheck import Adaptive, Backprop, Subject, check, pairs, problems
from odecheck.claims.find import found as named
from odecheck.record import Record, is_refused
from odecheck.runner.case import Unit
from odecheck.runner.limits import Limits
from odecheck.runner.parts import problem_of
from odecheck.runner.spent import Spent
from odecheck.runner.units import Work, through_executor

SUBJECT = Subject(None, Adaptive("dopri5", rtol=1e-5), Backprop())

DYING = '''
import multiprocessing, os
import torch
from odecheck import SHIPPED, Adaptive, Backprop, Subject, problems
from odecheck.fields.from_reference import torch_twin

class Dying(torch.nn.Module):
    """Kills every process but the first, once it is asked for a time between the observations."""
    def __init__(self, theta):
        super().__init__()
        self.inner = torch_twin(problems()[0].field)(theta)
    def forward(self, t, y):
        if multiprocessing.parent_process() is not None and 0.1 < float(t) < 0.3:
            os.kill(os.getpid(), 9)
        return self.inner(t, y)

two = problems()[:2]
right = Subject(SHIPPED, Adaptive(), Backprop())
pairs = [(right, two[0]), (Subject(Dying, Adaptive(), Backprop()), two[0]), (right, two[1])]
'''


def test_a_worker_that_dies_is_a_record_and_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "dying_model.py").write_text(DYING)
    found = pairs([str(tmp_path / "dying_model.py:pairs")])
    records = check(found, claims=["SOL-1", "SOL-2"], workers=2, folder=tmp_path / "run", validate=False)
    assert [r.verdict for r in records] == ["holds", "holds", "holds", "error", "holds", "holds"]
    assert "process died" in records[3].message
    assert not records[3].ok


def piece(limits: Limits = Limits(), **changes: bytes) -> Work:
    unit = Unit(SUBJECT, problems()[0], named(["SOL-2", "SOL-9"]))
    how = {"subject": pickle.dumps(unit.subject), "problem": pickle.dumps(unit.problem), **changes}
    return Work(unit, seed=0, validate=True, limits=limits, **how)


def test_a_job_has_the_memory_and_each_claim_the_seconds():
    work = piece(Limits(seconds=3.0, memory=2**33))
    assert work.job().limits == Limits(memory=2**33)
    assert work.job(work).key is work and work.limits.seconds == 3.0
    assert [[c.id for c in part.unit.claims] for part in work.one_by_one()] == [["SOL-2"], ["SOL-9"]]


def test_equal_bytes_are_one_problem():
    one, other = (pickle.dumps(problem) for problem in problems()[:2])
    assert problem_of(one) is problem_of(bytes(one)) is not problem_of(other)


def test_an_executors_failure_is_a_record_and_so_is_a_refusal():
    with ThreadPoolExecutor(1) as executor:
        broken = list(through_executor(executor, [piece(subject=b"torn")]))
        records = [r for r in broken if isinstance(r, Record)]
        assert [(r.claim, r.verdict) for r in records] == [
            ("SOL-2", "error"),
            ("SOL-9", "error"),
        ]
        assert "UnpicklingError" in records[0].message
        few = pickle.dumps(Subject(None, Adaptive("dopri5", rtol=1e-9, max_steps=2), Backprop()))
        *refused, spent = through_executor(executor, [piece(subject=few)])
        assert isinstance(spent, Spent) and spent.validation > 0
        assert all(isinstance(one, Record) and is_refused(one) for one in refused) and len(refused) == 2
        assert isinstance(refused[1], Record) and "stopped at t" in refused[1].message
