"""A run that is ended by a signal at any time: nothing is left running, nothing finished is lost, the rest is done."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from odecheck.records.run_folder import read
from tests.abuse.child import living

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
TYPED = (
    "verify",
    "--claim",
    "SOL-1,SOL-9,SOL-6,NODE-2",
    "--problem",
    "l",
    "--subject",
    "rk4",
    "--workers",
    "2",
    "--run",
    "run",
)
COMMAND = "import sys; from odecheck.commands.cli import main; sys.argv[0] = 'odecheck'; main()"


def judged(argument: tuple[int, str]) -> list[dict[str, Any]]:
    """A row for one kill. argument: seed, folder to work in, which keeps the whole run of the first."""
    seed, where = argument
    place, rng = Path(where) / f"kill-{seed}", random.Random(seed)
    whole = Path(where) / "whole"
    if not whole.exists():
        whole.mkdir(parents=True)
        _begun(whole).wait()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    number, wrong = rng.choice(SIGNALS), list[str]()
    process = _begun(place)
    wait = rng.uniform(0.0, 12.0)
    try:
        process.wait(wait)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        for _ in range(2 if number == signal.SIGINT else 0):
            time.sleep(0.1)
            process.send_signal(number)
    _, said = process.communicate(timeout=60)
    if number == signal.SIGINT and (process.returncode not in (0, 130, -2) or b"Traceback" in said):
        wrong.append(f"status {process.returncode}: {said[-200:]!r}")
    until = time.monotonic() + 15
    while living(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    wrong += ["processes are left"] if living(process.pid) else []
    before = {record.key: record for record in read(place / "run")[1]} if (place / "run" / "run.json").exists() else {}
    again = _begun(place, *(["--resume"] if (place / "run" / "run.json").exists() else []))
    again.communicate(timeout=600)
    rows = {record.key: record for record in read(place / "run")[1]}
    right = {record.key: record for record in read(whole / "run")[1]}
    wrong += ["a finished record was lost or done again"] if any(rows[key] != before[key] for key in before) else []
    if {k: repr(r.repeatable()) for k, r in rows.items()} != {k: repr(r.repeatable()) for k, r in right.items()}:
        wrong.append("the run that went on has other records")
    shutil.rmtree(place)
    return [{"what": f"{number.name} after {wait:.1f} s, {len(before)} of {len(right)} records", "wrong": wrong}]


def _begun(place: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *TYPED, *more],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
