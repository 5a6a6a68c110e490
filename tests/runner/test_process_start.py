"""A script that starts processes at its top level is told so, once."""

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
