"""Jobs on somebody's executor: whose worker goes, whose process dies, and what only this process can import."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from odecheck import BadInput
from odecheck.runner.elsewhere import carried, in_executor, result_of
from odecheck.runner.limits import Limits
from odecheck.runner.pool import Failure, Job
from tests import bad_engines


def _double(x):
    return 2 * x


def _parts(n):
    yield from range(n)


def _refuses():
    raise BadInput("seen", "cause", "fix")


def _kills(worker, once):
    """The first time the worker that waits for it is killed, as where a computer goes; then it answers."""
    if not once.exists():
        once.touch()
        os.kill(worker, signal.SIGKILL)
    return "done"


def test_each_job_has_its_answer_and_what_dies_costs_itself():
    jobs = [
        Job("twice", _double, (2,)),
        Job("parts", _parts, (3,)),
        Job("dies", bad_engines.DEEDS["vanish"]),
        Job("late", bad_engines.hang, limits=Limits(seconds=0.3)),
        Job("refused", _refuses),
    ]
    found: dict[str, list[object]] = {}
    with ThreadPoolExecutor(2) as executor:
        for key, one in in_executor(executor, jobs):
            found.setdefault(key, []).append(one)
    assert found["twice"] == [4] and found["parts"] == [0, 1, 2]
    failures = {key: one for key, (one, *_) in found.items() if isinstance(one, Failure)}
    assert {key: one.why for key, one in failures.items()} == {"dies": "died", "late": "late", "refused": "raised"}
    assert result_of("twice", found["twice"][0]) == 4
    for key, said in (("dies", "dies: .*status 3"), ("late", "late: "), ("refused", "seen")):
        with pytest.raises(BadInput, match=said):
            result_of(key, failures[key])
    with pytest.raises(RuntimeError, match="odd: of its own"):
        result_of("odd", Failure("raised", "of its own"))


def test_where_the_worker_goes_with_its_executor_the_job_is_done_here(tmp_path):
    with ProcessPoolExecutor(1) as executor:
        worker = executor.submit(os.getpid).result()
        jobs = [Job("kills", _kills, (worker, tmp_path / "once")), Job("twice", _double, (2,))]
        assert dict(in_executor(executor, jobs)) == {"kills": "done", "twice": 4}


def test_what_cannot_be_sent_is_refused_before_anything_is_done():
    with pytest.raises(BadInput, match="one cannot be sent"):
        carried(Job("one", lambda: None))


def test_modules_are_found_where_this_process_finds_them(tmp_path, monkeypatch):
    (tmp_path / "only_here_of_elsewhere.py").write_text("def three():\n    return 3\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    from importlib import import_module

    three = import_module("only_here_of_elsewhere").three
    with ThreadPoolExecutor(1) as executor:
        assert dict(in_executor(executor, [Job("", three)])) == {"": 3}
