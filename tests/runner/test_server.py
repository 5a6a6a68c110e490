"""The forkserver begins before anything is loaded, and what it has begun with is what workers find."""

from __future__ import annotations

import subprocess
import sys

EARLY = """
import sys
from odecheck.runner import server

if __name__ == "__main__":
    server.begin_early()
    assert "torch" not in sys.modules, "it waits for what it is to be ahead of"
    from multiprocessing import forkserver
    first = vars(forkserver)["_forkserver"]._forkserver_pid
    assert first
    server.begin_early()
    from odecheck.runner.pool import Job, in_processes
    ((_, loaded),) = in_processes([Job("", eval, ("'torch._dynamo' in __import__('sys').modules",))], 1)
    assert loaded is True, loaded
    assert vars(forkserver)["_forkserver"]._forkserver_pid == first
"""


def test_it_begins_before_torch_is_loaded_and_is_the_one_of_all_workers(tmp_path):
    script = tmp_path / "early.py"
    script.write_text(EARLY)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
