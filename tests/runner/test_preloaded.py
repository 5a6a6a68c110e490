"""What a forkserver loads is all that a first job would: forward mode imports parts of torch that change warnings."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import sys
import odecheck.runner.preloaded
import torch
from torch.autograd import forward_ad

before = set(sys.modules)
with forward_ad.dual_level():
    forward_ad.unpack_dual(torch.tanh(forward_ad.make_dual(torch.ones(1), torch.ones(1))))
assert "odecheck.claims" in before
assert not [name for name in set(sys.modules) - before if name.startswith("torch._dynamo")]
"""


def test_a_first_job_in_forward_mode_loads_nothing_more_of_it():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
