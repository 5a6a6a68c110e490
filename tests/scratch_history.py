"""A scratch repository with a known history, for what looks at benchmarks across commits."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

BASE = {"stages": 4, "work": 100, "broken": False, "note": 0}

SOLVER = '''"""A toy solver. Note {note}."""

CALLS = 0


def field(y):
    global CALLS
    CALLS += 1
    total = 0.0
    for i in range({work}):
        total += i * y
    return -y + 0.0 * total


def solve(steps):
    global CALLS
    CALLS, y = 0, 1.0
    for _ in range(steps):
        slopes = [field(y) for _ in range({stages})]
        y += 0.01 * slopes[0]
    return y


def answer():
    if {broken}:
        raise ValueError("broken since this commit")
    return 42.0
'''

BENCHMARKS = """import time


class Solve:
    params = [[10, 20]]
    param_names = ["steps"]
    timer = staticmethod(time.process_time)
    sample_time, repeat, rounds, warmup_time = 0.01, 2, 1, 0.0

    def setup(self, steps):
        import toy

        self.toy = toy

    def track_nfe(self, steps):
        self.toy.solve(steps)
        return float(self.toy.CALLS)

    track_nfe.unit = "count"

    def time_solve(self, steps):
        self.toy.solve(steps)


class Answer:
    def track_answer(self):
        import toy

        return toy.answer()

    track_answer.unit = "points, higher is better"
"""


def scratch(folder: Path, history: list[dict]) -> list[str]:
    """A repository with a commit for each entry of `history`, what it changes of the solver; their hashes.

    An entry changes what is there from then on; "note" changes nothing but a comment.
    """
    (folder / "asv_bench" / "benchmarks").mkdir(parents=True)
    (folder / "asv_bench" / "benchmarks" / "solve.py").write_text(BENCHMARKS)
    (folder / "asv_bench" / "benchmarks" / "__init__.py").write_text("")
    config = {"version": 1, "project": "toy", "repo": "..", "branches": ["HEAD"], "environment_type": "virtualenv"}
    (folder / "asv_bench" / "asv.conf.json").write_text(json.dumps(config))
    (folder / "toy").mkdir()
    git(folder, "init", "-q", "-b", "main")
    now, hashes = dict(BASE), []
    for number, change in enumerate(history):
        now = {**now, "note": number, **change}
        (folder / "toy" / "__init__.py").write_text(SOLVER.format(**now))
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", f"{number}: {change or 'nothing'}")
        hashes.append(git(folder, "rev-parse", "HEAD").strip())
    return hashes


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=scratch", "-c", "user.email=scratch@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True)
    return done.stdout
