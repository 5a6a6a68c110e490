"""Running the suite over commits, with the present environment: each commit's files are unpacked and put first.

The suite is that of the present checkout for every commit, so that a number means the same everywhere; its benchmarks
refuse in `setup` what a commit does not have. The results are asv's own files. Beside them, bench.jsonl keeps what asv
does not: versions, device and load, one line for each commit that is done, which is what a run resumes from.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

from odecheck.errors import BadInput
from odecheck.records.run_folder import about

from .suite import Suite, source_folders

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class Done:
    """One commit that was benchmarked. ok: asv ran to its end and every benchmark gave a value or was skipped.

    load: of the machine before and after. suite: a digest of the benchmarks' own files.
    """

    commit: str
    bench: str
    suite: str
    ok: bool
    status: int
    seconds: float
    started: str
    machine: str
    device: str
    load: tuple[float, float]
    versions: dict[str, Any]
    output: str


def launch_method() -> str:
    """How asv starts a benchmark: forked from a process that has torch; anew where there is a GPU, which forks lose."""
    import torch

    return "spawn" if torch.cuda.is_available() else "forkserver"


def run_commit(suite: Suite, commit: str, *, machine: str, bench: str = "") -> Done:
    """Run the suite at one commit. bench: asv's regular expression for the names of benchmarks."""
    begun, started, before = perf_counter(), datetime.now(UTC), os.getloadavg()[0]
    with suite.checkout(commit) as checkout:
        command = [
            sys.executable,
            "-m",
            "asv",
            "run",
            "--config",
            str(suite.config),
            "--machine",
            machine,
            "--environment",
            f"existing:{sys.executable}",
            "--set-commit-hash",
            commit,
            "--no-pull",
            "--launch-method",
            launch_method(),
            *(["--bench", bench] if bench else []),
        ]
        where = os.pathsep.join(source_folders(checkout))
        environment = {**os.environ, **ONE_THREAD, "ASV_PYTHONPATH": where, "PYTHONPATH": where}
        done = subprocess.run(
            command, cwd=suite.config.parent, env=environment, capture_output=True, text=True, check=False
        )
    said = (done.stdout + done.stderr)[-4000:]
    made = Done(
        commit=commit,
        bench=bench,
        suite=digest(suite),
        ok=done.returncode == 0,
        status=done.returncode,
        seconds=perf_counter() - begun,
        started=started.isoformat(timespec="seconds"),
        machine=machine,
        device=_device(),
        load=(before, os.getloadavg()[0]),
        output=said,
        versions={**about({}, seed=0)["versions"], "asv": version("asv")},
    )
    path = _journal(suite, machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as journal:
        journal.write(json.dumps(asdict(made)) + "\n")
    return made


def run_commits(
    suite: Suite,
    commits: Iterable[str],
    *,
    machine: str,
    bench: str = "",
    again: bool = False,
    progress: Callable[[str], None] = lambda description: None,
) -> list[Done]:
    """Run the suite at each commit that was not yet run with the same benchmarks; all of them with `again`."""
    prepare(suite, machine)
    known = {} if again else {(d.commit, d.bench, d.suite): d for d in read_done(suite, machine) if d.status in (0, 2)}
    found: list[Done] = []
    for commit in commits:
        done = known.get((commit, bench, digest(suite)))
        found.append(done or run_commit(suite, commit, machine=machine, bench=bench))
        progress(f"{commit[:8]} {found[-1].seconds:.0f} s")
    return found


def prepare(suite: Suite, machine: str) -> None:
    """Tell asv of this machine, by a name that does not change with it. Raises BadInput where asv cannot be run."""
    if find_spec("asv") is None:
        raise BadInput("asv is not installed in this environment", "it is an extra", 'pip install "odecheck[bench]"')
    command = [sys.executable, "-m", "asv", "machine", "--yes", "--machine", machine, "--config", str(suite.config)]
    done = subprocess.run(command, cwd=suite.config.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BadInput(
            f"asv refuses {suite.config.name}: {said[-1] if said else 'without a word'}",
            "a mistake in that file",
            f"python -m asv check --config {suite.config}",
        )


def run_asv(suite: Suite, span: str, *, machine: str, bench: str = "", constraint: Path | None = None) -> int:
    """Run asv with its own environments (virtualenv, the version matrix of its configuration); its exit status."""
    prepare(suite, machine)
    command = [
        sys.executable,
        "-m",
        "asv",
        "run",
        "--config",
        str(suite.config),
        "--machine",
        machine,
        "--skip-existing",
        "--launch-method",
        launch_method(),
        *(["--bench", bench] if bench else []),
        span,
    ]
    more = {"PIP_CONSTRAINT": str(constraint.resolve())} if constraint else {}
    environment = {**os.environ, **ONE_THREAD, "PIP_NO_COMPILE": "1", **more}
    return subprocess.run(command, cwd=suite.config.parent, env=environment, check=False).returncode


def read_done(suite: Suite, machine: str) -> list[Done]:
    """What was run so far, oldest first; a line that was cut off is left out."""
    path = _journal(suite, machine)
    found: list[Done] = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
            found.append(Done(**{**row, "load": tuple(row["load"])}))
        except (ValueError, TypeError, KeyError):
            continue
    return found


def digest(suite: Suite) -> str:
    """Of the files that define the benchmarks: other files, other numbers."""
    whole = hashlib.sha256()
    for path in sorted(suite.benchmarks.rglob("*.py")):
        whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:12]


def _journal(suite: Suite, machine: str) -> Path:
    return suite.results / machine / "bench.jsonl"


def _device() -> str:
    import torch

    name = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores{name}"
