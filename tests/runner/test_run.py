"""A run gives the same records however it is run, and a worker's death is a record."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from odecheck_reference import Bounded

from odecheck import Adaptive, Adjoint, Backprop, BadInput, FixedStep, Subject, Verdict, check, problems
from odecheck.claim import claim, family
from odecheck.errors import NotApplicable
from odecheck.mutants.derivatives import SCALED_SOLUTION
from odecheck.record import is_refused
from odecheck.records.run_folder import read
from odecheck.records.summary import UNDECIDED, exit_status
from odecheck.runner.run import Limits, plan, run_units

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


@pytest.mark.parametrize("workers", [1, 2])
def test_a_refusal_is_its_subjects_own_and_all_others_run(tmp_path, workers):
    few = Subject(None, Adaptive("dopri5", rtol=1e-9, max_steps=2), Adjoint(), label="few")
    three = (SUBJECTS[0], few, SUBJECTS[1])
    records = check(three, problems()[0], CLAIMS, folder=tmp_path, workers=workers)
    assert [r.subject for r in records if is_refused(r)] == ["few"] * len(CLAIMS)
    assert all("few stopped at t" in r.message and "what to type" in r.message for r in records if is_refused(r))
    judged = [r for r in records if not is_refused(r)]
    assert len(judged) == 2 * len(CLAIMS) and not any(r.verdict is Verdict.ERROR for r in judged)
    assert exit_status(records) == 2 and exit_status(judged) in (0, UNDECIDED)
    # it was not judged: the run goes on with it, and with it alone
    seen = []
    check(three, problems()[0], CLAIMS, folder=tmp_path, resume=True, progress=seen.append, workers=workers)
    assert [r.subject for r in seen] == ["few"] * len(CLAIMS)
    kept = check(three, problems()[0], CLAIMS, folder=tmp_path, resume=True, progress=seen.append, validate=False)
    assert not any(map(is_refused, kept)) and len(kept) == 3 * len(CLAIMS)


def test_input_that_is_refused_as_a_whole_is_raised_with_what_to_type(tmp_path):
    few = Subject(None, Adaptive("dopri5", rtol=1e-9, max_steps=2), Adjoint(), label="few")
    with pytest.raises(BadInput, match="few stopped at t") as caught:
        check(few, problems()[0], CLAIMS, folder=tmp_path)
    assert "max_steps" in caught.value.fix and caught.value.cause
    assert all(map(is_refused, read(tmp_path)[1]))


def test_what_cannot_be_sent_costs_itself_alone():
    local = replace(SCALED_SOLUTION(SUBJECTS[0]), label="local")
    records = check((SUBJECTS[0], local), problems()[0], "SOL-2", workers=2)
    assert [r.verdict for r in records] == ["holds", "error"] and "cannot be sent" in records[1].message


@pytest.mark.parametrize("limits", [None, Limits(seconds=100.0)])
def test_what_cannot_be_sent_has_a_process_of_its_own_with_one_worker(limits):
    local = SCALED_SOLUTION(SUBJECTS[0])
    units = plan(local, problems()[0], "SOL-2")
    assert [r.verdict for r in run_units(units, isolated=True, limits=limits)] == ["refuted"]


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


def test_interrupted_workers_are_ended(tmp_path):
    def stop(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(SUBJECTS, problems()[:2], CLAIMS, workers=2, folder=tmp_path, progress=stop)
    assert (tmp_path / "journal.jsonl").read_text().count("\n") == 1
    assert Path(tmp_path / "run.json").exists()
