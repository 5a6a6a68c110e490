"""A run gives the same records however it is run, and a worker's death is a record."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from odecheck_reference import Bounded

from odecheck import ALL, Adaptive, Adjoint, Backprop, BadInput, FixedStep, Subject, Verdict, check, pairs, problems
from odecheck.claim import claim, family
from odecheck.errors import NotApplicable
from odecheck.mutants.derivatives import SCALED_SOLUTION
from odecheck.runner.run import cases, plan

SUBJECTS = (
    Subject(None, Adaptive("dopri5", rtol=1e-5), Adjoint()),
    Subject(None, FixedStep("rk4", step=0.1), Backprop(), expected_failures={"NODE-3": "a reason"}),
)
CLAIMS = ("SOL-1", "SOL-2", "SOL-3", "SOL-9", "NODE-2")


def same(records):
    return [repr(record.repeatable()) for record in records]


@pytest.fixture(scope="module")
def serial():
    return check(SUBJECTS, problems()[:2], CLAIMS)


def test_records_come_in_the_order_of_the_cases(serial):
    assert [r.key for r in serial] == [(c, s.name, p.name) for s in SUBJECTS for p in problems()[:2] for c in CLAIMS]
    assert {Verdict.HOLDS, Verdict.NOT_APPLICABLE} <= {r.verdict for r in serial}
    assert not {Verdict.ERROR, Verdict.UNSUPPORTED} & {r.verdict for r in serial}


def test_two_processes_give_the_same_bits(serial):
    seen = []
    assert same(check(SUBJECTS, problems()[:2], CLAIMS, workers=2, progress=seen.append)) == same(serial)
    assert len(seen) == len(serial)


def test_dask_gives_the_same_bits(serial, tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, processes=True) as cluster,
        distributed.Client(cluster) as client,
    ):
        got = check(SUBJECTS, problems()[:2], CLAIMS, executor=client.get_executor(), folder=tmp_path)
    assert same(got) == same(serial)


def test_threads_give_the_same_bits(serial):
    with ThreadPoolExecutor(1) as executor:
        assert same(check(SUBJECTS, problems()[:2], CLAIMS, executor=executor)) == same(serial)


def test_the_number_of_threads_of_torch_is_given_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    check(SUBJECTS[0], problems()[0], "SOL-1")
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


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


def test_bad_input_is_raised_and_what_was_finished_is_kept(tmp_path):
    few = Subject(None, Adaptive("dopri5", rtol=1e-9, max_steps=2), Adjoint(), label="few")
    with pytest.raises(BadInput, match="few stopped at t"):
        check((SUBJECTS[0], few), problems()[0], CLAIMS, folder=tmp_path)
    seen = []
    with pytest.raises(BadInput, match="few stopped at t"):
        check((SUBJECTS[0], few), problems()[0], CLAIMS, folder=tmp_path, resume=True, progress=seen.append, workers=2)
    assert seen == []
    kept = check(
        (SUBJECTS[0], few), problems()[0], CLAIMS, folder=tmp_path, resume=True, progress=seen.append, validate=False
    )
    assert [r.subject for r in seen] == ["few"] * len(CLAIMS)
    assert len(kept) == 2 * len(CLAIMS)


def test_what_cannot_be_sent_is_refused_before_anything_runs():
    local = SCALED_SOLUTION(SUBJECTS[0])
    with pytest.raises(BadInput, match="cannot be sent to another process") as caught:
        check(local, problems()[:2], CLAIMS, workers=2)
    assert "workers=1" in caught.value.fix
    assert [r.verdict for r in check(local, problems()[0], "SOL-2")] == ["refuted"]


def test_a_claim_that_is_not_at_the_top_level_of_a_module_is_refused_for_workers():
    family("MY", title="My own model")

    @claim("MY-1", source="here", resolution=1.0, mutants=[SCALED_SOLUTION])
    def mine(subject, problem):
        """One is one."""
        if problem.batch == 1:
            raise NotApplicable("one row")
        return Bounded(1.0, {"none": 0.0}), Bounded(1.0)

    assert check(SUBJECTS[0], problems()[0], mine)[0].ok
    with pytest.raises(BadInput, match="cannot be sent"):
        check(SUBJECTS[0], problems()[:2], mine, workers=2)


def test_a_plan_says_what_is_wrong():
    with pytest.raises(BadInput, match="no claim 'NODE-99'"):
        plan(SUBJECTS, problems()[0], "NODE-99")
    with pytest.raises(BadInput, match="two cases are called"):
        plan([SUBJECTS[0], SUBJECTS[0]], problems()[0])
    with pytest.raises(BadInput, match="problems was left out"):
        plan(Subject(torch.nn.Linear, Adaptive(), Adjoint()))  # type: ignore[arg-type]
    assert len(list(cases(SUBJECTS))) == 2 * len(problems()) * len(ALL)
    assert len(plan([(SUBJECTS[0], problems()[1]), SUBJECTS[1]], problems()[0])) == 2
    assert len(plan(SUBJECTS[0], tier="full")) == len(problems("full"))


def test_interrupted_workers_are_ended(tmp_path):
    def stop(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(SUBJECTS, problems()[:2], CLAIMS, workers=2, folder=tmp_path, progress=stop)
    assert (tmp_path / "journal.jsonl").read_text().count("\n") == 1
    assert Path(tmp_path / "run.json").exists()
