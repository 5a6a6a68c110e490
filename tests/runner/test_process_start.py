"""How processes begin: a script that starts them at its top level is told so, once; a copy of a process has its own."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

UNGUARDED = """
import odecheck
subject = odecheck.Subject(None, odecheck.Adaptive("dopri5", rtol=1e-5), odecheck.Adjoint())
print(odecheck.check(subject, odecheck.problems()[:2], "SOL-1", workers=2))
"""


def test_a_script_without_its_guard_is_told_so(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(UNGUARDED)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    said = Counter(line.strip() for line in done.stderr.splitlines())
    assert done.returncode == 1 and "native code" not in done.stderr
    assert 'what to type: if __name__ == "__main__":' in said and "unguarded.py once more" in done.stderr
    assert done.stderr.count("Traceback") == 1


COPY = """
import math, os, sys
from odecheck.runner.pool import Job, in_processes

def answers():
    return list(in_processes([Job("root", math.sqrt, (4.0,))], 1))

if __name__ == "__main__":
    assert answers() == [("root", 2.0)]
    copy = os.fork()
    if copy == 0:
        os._exit(0 if answers() == [("root", 2.0)] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 0
    assert answers() == [("root", 2.0)]
"""


def test_a_copy_of_a_process_that_has_begun_others_begins_its_own(tmp_path):
    script = tmp_path / "copy_of_a_process.py"
    script.write_text(COPY)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
