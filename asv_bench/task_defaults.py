"""What the default of every task takes: `odecheck train TASK`, all of its models, one seed, one thread.

    python asv_bench/task_defaults.py [--only TASK,TASK] [--json FILE]

Each is a process of its own, its CPU time that of the process from beginning to end, imports and evaluations included.
Losses are medians over the models. With --json the rows of other tasks in FILE stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from odecheck import tasks
from odecheck.training.rows import read

START = "from odecheck.commands.cli import main; main()"


def used() -> float:
    """CPU seconds of all processes that were waited for."""
    of = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of.ru_utime + of.ru_stime


def measure(name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-c",
            "from odecheck.commands.cli import main; main()",
            "train",
            name,
            "--run",
            folder + "/run",
        ]
        cpu, wall = used(), time.perf_counter()
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
        cpu, wall = used() - cpu, time.perf_counter() - wall
        rows = read(Path(folder) / "run")
    steps = rows[rows["split"] == "train"]
    end = steps.groupby("model")["step"].transform("max")
    return {
        "task": name,
        "models": int(steps["model"].nunique()),
        "steps": int(steps["step"].max()),
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "begin": float(steps[steps["step"] == 1]["loss"].median()),
        "end": float(steps[steps["step"] == end]["loss"].median()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    offline = [name for name, task in tasks.every().items() if not task.settings[0].needs_data]
    parser.add_argument("--only", default=",".join(offline), help="tasks, with commas between")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    for name in arguments.only.split(","):
        row = measure(name)
        print(row, flush=True)
        if arguments.json:
            known = json.loads(arguments.json.read_text())["rows"] if arguments.json.exists() else []
            rows = sorted([*(r for r in known if r["task"] != name), row], key=lambda r: r["task"])
            note = f"all models, Adam, one seed, 1 thread, torch {torch.__version__}, a machine that did other work"
            table = {"command": "python asv_bench/task_defaults.py", "note": note, "rows": rows}
            arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
