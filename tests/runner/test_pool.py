"""The pool of processes: a job that crashes, hangs, raises or takes too much costs itself alone."""

import multiprocessing
import os
import sys
import time

import pytest

from odecheck import BadInput
from odecheck.runner.limits import GIB, Limits
from odecheck.runner.pool import Failure, Job, _Waiting, in_processes
from tests import bad_engines

HERE = ["as it was imported"]
START = ("forkserver", "fork")


class Odd(Exception):
    """Cannot be made again from what it keeps, whatever another library has told pickle about exceptions."""

    def __init__(self):
        super().__init__("odd")
        self.kept = _Once()


class _Once:
    def __reduce__(self):
        return _refuses, ()


def _refuses():
    raise ValueError("not to be made again")


def _double(x):
    return 2 * x


def _process(_=None):
    return os.getpid()


def _raises(kind):
    raise {"bad": BadInput("seen", "cause", "fix"), "odd": Odd()}[kind]


def _here():
    return HERE[0]


def _spin():
    while True:
        pass


def _lambda():
    return lambda: None


def _nested():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.map(_double, [1])


@pytest.mark.parametrize("start", START)
def test_what_dies_costs_its_own_job_alone(start):
    bad = [Job(name, bad_engines.DEEDS[name]) for name in ("segfault", "vanish", "leave", "crash")]
    jobs = [job for n, one in enumerate(bad) for job in (one, Job(n, _double, (n,)))]
    found = dict(in_processes(jobs, 2, start=start))
    assert [found[n] for n in range(4)] == [0, 2, 4, 6]
    assert [found[job.key].why for job in bad] == ["died", "died", "raised", "raised"]
    assert "process died" in found["segfault"].message and found["segfault"].error is None
    assert found["leave"].message == "SystemExit: enough"
    assert found["crash"].message == "RuntimeError: out of luck" and "in crash" in found["crash"].trace
    assert len(found) == len(jobs)


@pytest.mark.parametrize("start", START)
def test_an_exception_comes_back_as_it_was_where_it_can(start):
    jobs = [Job(kind, _raises, (kind,)) for kind in ("bad", "odd")] + [Job("lambda", _lambda)]
    found = dict(in_processes(jobs, 1, start=start))
    assert isinstance(found["bad"].error, BadInput) and found["bad"].error.fix == "fix"
    assert found["odd"].error is None and found["odd"].message == "Odd: odd"
    assert found["lambda"].why == "raised" and "pickle" in found["lambda"].message.lower()


@pytest.mark.parametrize("start", START)
def test_limits_are_enforced(start):
    jobs = [
        Job("clock", bad_engines.hang, limits=Limits(seconds=0.3)),
        Job("out of reach", bad_engines.hang_out_of_reach, limits=Limits(seconds=0.3, grace=0.3)),
        Job("swallowed", bad_engines.hang_and_swallow, limits=Limits(seconds=0.3, grace=1.5)),
        Job("processor", _spin, limits=Limits(cpu=0.5)),
        Job("memory", bad_engines.take_all_memory_in_python, limits=Limits(memory=3 * GIB)),
        Job("no limits", _double, (1,)),
        Job("memory again", bad_engines.take_all_memory_in_python, limits=Limits(memory=3 * GIB)),
    ]
    begun = time.monotonic()
    found = dict(in_processes(jobs, 1, start=start))
    why = {key: one.why for key, one in found.items() if isinstance(one, Failure)}
    assert why == {
        "clock": "late",
        "out of reach": "died",
        "swallowed": "died",
        "processor": "died",
        "memory": "raised",
        "memory again": "raised",
    }
    assert found["no limits"] == 2 and "MemoryError" in found["memory"].message
    assert 0.3 <= found["clock"].seconds < 30 and time.monotonic() - begun < 120


def test_a_limit_of_processor_time_is_of_a_job_and_not_of_its_worker():
    jobs = [Job(n, _busy, (0.6,), Limits(cpu=1.2)) for n in range(4)]
    found = dict(in_processes(jobs, 1))
    assert len({*found.values()}) == 1 and not any(isinstance(one, Failure) for one in found.values())


def _busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return os.getpid()


def test_a_worker_is_kept_and_a_fork_is_of_now(monkeypatch):
    many = [Job(n, _process) for n in range(4)]
    assert len({pid for _, pid in in_processes(many, 1)}) == 1
    assert len({pid for _, pid in in_processes(many, 1, start="fork")}) == 4
    monkeypatch.setattr(sys.modules[__name__], "HERE", ["changed since"])
    assert dict(in_processes([Job("", _here)], 1, start="fork")) == {"": "changed since"}
    assert dict(in_processes([Job("", _here)], 1)) == {"": "as it was imported"}


def test_what_runs_is_killed_when_it_is_given_up():
    jobs = [Job("pid", _process), Job("hang", bad_engines.hang_and_swallow)]
    before = {*multiprocessing.active_children()}
    running = in_processes(jobs, 2)
    (key, pid) = next(running)
    assert key == "pid" and _alive(pid)
    running.close()
    assert not _alive(pid) and {*multiprocessing.active_children()} <= before


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in open(f"/proc/{pid}/stat").read().split()[2]


def test_a_job_may_have_processes_of_its_own():
    assert dict(in_processes([Job("", _nested)], 1)) == {"": [2]}


def test_nothing_to_do_starts_nothing():
    assert list(in_processes([], 2)) == []


def test_jobs_of_a_group_are_done_by_one_worker_while_there_is_other_work():
    waiting = _Waiting(Job((group, n), _here, group=group) for n in range(2) for group in "abc")
    taken = [
        waiting.next(own, of_others).key
        for own, of_others in [(None, set()), (None, {"a"}), ("a", {"b"}), ("a", {"b"}), ("b", {"c"}), ("b", {"c"})]
    ]
    assert taken == [("a", 0), ("b", 0), ("a", 1), ("c", 0), ("b", 1), ("c", 1)] and not waiting


def _reads():
    sys.path.append("as a file of a user's does")


def _reads_nothing():
    pass


def _what_is_there():
    return os.getpid(), sys.path[-1] == "as a file of a user's does"


def _leaves_its_path():
    sys.path.append("of a job, and of no file")
    return os.getpid()


@pytest.mark.parametrize("start", START)
def test_what_reading_changes_stays_for_the_group_alone(start):
    jobs = [Job(("a", n), _what_is_there, group="a", read=_reads) for n in range(3)]
    jobs += [Job(("b", n), _what_is_there, group="b", read=_reads_nothing) for n in range(2)]
    found = dict(in_processes(jobs, 1, start=start))
    assert [found["a", n][1] for n in range(3)] == [True] * 3 and [found["b", n][1] for n in range(2)] == [False] * 2
    assert [len({found[group, n][0] for n in range(2)}) for group in "ab"] == [1, 1], "a group shares its process"
    assert found["a", 2] == found["a", 0] and found["a", 0][0] != found["b", 0][0]


@pytest.mark.parametrize("start", START)
def test_what_a_job_itself_changes_ends_its_process_within_its_group_too(start):
    jobs = [Job(n, _leaves_its_path if n == 1 else _process, group="a", read=_reads) for n in range(4)]
    found = dict(in_processes(jobs, 1, start=start))
    assert found[0] == found[1] != found[2] == found[3]


def test_no_worker_that_a_group_has_is_kept_for_other_calls():
    own = dict(in_processes([Job(0, _what_is_there, group="a", read=_reads)], 1, keep=True))
    assert own[0][1] and not _alive(own[0][0])
    assert not dict(in_processes([Job(0, _what_is_there)], 1, keep=True))[0][1]


def test_jobs_of_no_group_come_as_they_were_given():
    waiting = _Waiting(Job(n, _here) for n in range(3))
    assert [waiting.next(None, {None}).key for _ in range(3)] == [0, 1, 2]
    jobs = [Job((group, n), _double, (n,), group=group) for n in range(3) for group in ("a", "b", None)]
    assert dict(in_processes(jobs, 2)) == {(group, n): 2 * n for n in range(3) for group in ("a", "b", None)}
