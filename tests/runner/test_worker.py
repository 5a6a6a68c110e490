"""A job leaves its worker as it found it, or the worker ends with it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch

from odecheck.runner.limits import GIB, Limits
from odecheck.runner.pool import Failure, Job, in_processes

LEFT: list[bytes] = []


def _tidy():
    return os.getpid(), torch.is_grad_enabled(), bytes(len(LEFT))


def _untidy():
    torch.set_grad_enabled(False)
    return os.getpid()


def _thread():
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return os.getpid()


def _child():
    return os.getpid(), subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid


def _child_of_its_own_group():
    return os.getpid(), subprocess.Popen(["sleep", "60"], process_group=0).pid


def _child_without_a_mark():
    return os.getpid(), subprocess.Popen(["sleep", "60"], process_group=0, env={}).pid


def _orphan_without_a_mark():
    shell = "env -i setsid sleep 60 > /dev/null 2>&1 & echo $!"
    return os.getpid(), int(subprocess.run(shell, shell=True, capture_output=True, check=True).stdout)


def _hoard():
    LEFT.append(bytearray(GIB))  # type: ignore[arg-type]
    return os.getpid()


def _raises():
    torch.set_default_dtype(torch.float16)
    raise RuntimeError


def _leaves_a_copy():
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)


def _counts(upto):
    for n in range(upto):
        if n == 3:
            os.kill(os.getpid(), signal.SIGSTOP)
        yield n


def test_a_worker_that_was_changed_is_not_given_another_job():
    limits = Limits(memory=3 * GIB)
    jobs = [Job("first", _tidy, limits=limits), Job("second", _tidy, limits=limits)]
    start = (_child, _child_of_its_own_group, _child_without_a_mark, _orphan_without_a_mark)
    bad_ones = (_untidy, _thread, *start, _hoard, _raises)
    for n, bad in enumerate(bad_ones):
        jobs += [Job(bad.__name__, bad, limits=limits), Job(n, _tidy, limits=limits)]
    found = dict(in_processes(jobs, 1))
    assert found["first"] == found["second"] and all(found[n][1:] == (True, b"") for n in range(len(bad_ones)))
    pids = [found["second"][0], *(found[n][0] for n in range(len(bad_ones)))]
    assert len(set(pids)) == len(pids), "each bad job has ended its worker"
    assert found["_untidy"] == pids[0] and isinstance(found["_raises"], Failure)
    for job in start:
        assert _ended(found[job.__name__][1]), f"what {job.__name__} started has ended with it"


def test_an_end_is_heard_although_a_copy_of_the_process_goes_on():
    begun = time.monotonic()
    ((_, failure),) = in_processes([Job("", _leaves_a_copy)], 1)
    assert failure.why == "died" and "status 0" in failure.message and time.monotonic() - begun < 50


def test_parts_come_as_they_are_made_and_what_stops_is_ended_from_outside():
    begun = time.monotonic()
    found = list(in_processes([Job("a", _counts, (3,)), Job("b", _counts, (5,), patience=1.0), Job("c", _tidy)], 1))
    assert [(key, one) for key, one in found if isinstance(one, int)] == [
        *(("a", n) for n in range(3)),
        *(("b", n) for n in range(3)),
    ]
    (failure,) = [one for key, one in found if key == "b" and isinstance(one, Failure)]
    assert failure.why == "late" and "from outside" in failure.message and failure.seconds >= 1.0
    assert found[-1][0] == "c" and time.monotonic() - begun < 120


def _ended(pid):
    for _ in range(100):
        try:
            if "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]:
                return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


def _forward_mode():
    linear = torch.nn.Linear(2, 2)
    torch.func.jvp(lambda y: torch.tanh(linear(y)), (torch.ones(3, 2),), (torch.ones(3, 2),))
    torch.func.vmap(torch.func.jacfwd(linear))(torch.ones(3, 2))
    from torch.fx.experimental import symbolic_shapes  # as torch itself does, in the midst of forward mode

    return os.getpid(), symbolic_shapes.__name__


def test_what_torch_imports_on_its_way_costs_no_worker():
    found = dict(in_processes([Job(n, _forward_mode) for n in range(3)], 1))
    assert len({pid for pid, _ in found.values()}) == 1
