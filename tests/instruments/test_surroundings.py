"""What a subject changes of the process is put back, and named."""

import math
import os
import signal
import sys
import threading
import warnings

import numpy as np
import pytest
import torch

from odecheck.compat import pushed_modes
from odecheck.instruments.surroundings import SWITCHES, Surroundings, restored

CHANGES = {
    "torch.set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "torch.set_default_dtype": lambda: torch.set_default_dtype(torch.float16),
    "torch.set_num_threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "torch.use_deterministic_algorithms": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "torch.set_anomaly_enabled": lambda: torch.autograd.set_detect_anomaly(True),
    "torch.set_flush_denormal": lambda: torch.set_flush_denormal(True),
    "torch.set_float32_matmul_precision": lambda: torch.set_float32_matmul_precision("medium"),
    "torch.set_default_device": lambda: torch.set_default_device("meta"),
    "a mode of torch": lambda: torch.overrides.BaseTorchFunctionMode().__enter__(),
    "numpy.seterr": lambda: np.seterr(all="raise"),
    "warnings.filters": lambda: warnings.simplefilter("error"),
    "a handler of a signal": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "sys.path": lambda: sys.path.insert(0, "/nowhere"),
    "os.environ": lambda: os.environ.update(ODECHECK_ODD="1"),
    "os.chdir": lambda: os.chdir("/"),
    "os.umask": lambda: os.umask(0o777),
    "sys.setrecursionlimit": lambda: sys.setrecursionlimit(5_000),
    "gc.disable": lambda: __import__("gc").disable(),
    "sys.stdout": lambda: setattr(sys, "stderr", None),
}


def test_every_switch_is_tried():
    assert {switch.name for switch in SWITCHES} == set(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_a_switch_is_put_back_and_named(name):
    before = Surroundings()
    kept = {switch.name: switch.get() for switch in SWITCHES}
    try:
        CHANGES[name]()
    finally:
        changed = before.restore()
    assert name in changed
    assert {switch.name: switch.get() for switch in SWITCHES} == kept and pushed_modes() == (0, 0)
    assert before.restore() == []


def test_functions_that_mean_something_else_are_put_back():
    grad, backward, sine, names = torch.autograd.grad, torch.Tensor.backward, math.sin, set(vars(torch.Tensor))
    with restored():
        torch.autograd.grad = torch.Tensor.backward = math.sin = None  # type: ignore[assignment]
        torch.Tensor.add_ = lambda *_: None  # type: ignore[assignment]
        torch.Tensor.odd = 1  # type: ignore[attr-defined]
        del torch.nn.functional.softplus
    assert (torch.autograd.grad, torch.Tensor.backward, math.sin) == (grad, backward, sine)
    assert set(vars(torch.Tensor)) == names and torch.nn.functional.softplus(torch.zeros(1)) > 0


def test_a_thread_that_was_begun_is_told():
    before, go = Surroundings(), threading.Event()
    thread = threading.Thread(target=go.wait, name="left behind")
    thread.start()
    assert before.restore() == ["thread left behind"]
    go.set()
    thread.join()
