"""Two processes do not write into one run."""

import subprocess
import sys
import time

import pytest

from odecheck.errors import BadInput
from odecheck.records.lock import Lock

HOLD = """
import sys
from pathlib import Path
from odecheck.records.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_has_it_until_it_ends(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with pytest.raises(BadInput, match="another process is at work") as caught:
        Lock(tmp_path)
    assert "--resume" in caught.value.cause
    holder.kill()
    holder.wait()
    for _ in range(50):
        try:
            Lock(tmp_path).release()
            break
        except BadInput:
            time.sleep(0.1)
    else:
        pytest.fail("its death has not given it back")
    assert list(tmp_path.iterdir()) == []


def test_this_process_may_take_it_again_and_gives_it_back(tmp_path):
    lock, inner = Lock(tmp_path), Lock(tmp_path / ".")
    inner.release()
    inner.release()
    code = f"from odecheck.records.lock import Lock; from pathlib import Path; Lock(Path({str(tmp_path)!r}))"
    ask = [sys.executable, "-c", code]
    assert b"another process" in subprocess.run(ask, capture_output=True).stderr
    lock.release()
    assert subprocess.run(ask, capture_output=True).returncode == 0
