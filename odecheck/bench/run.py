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
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

from odecheck.errors import BadInput
from odecheck.records.run_folder import about

from .suite import Suite, source_folders

OWN = [str(Path(str(sys.modules[name].__file__)).parents[1]) for name in ("odecheck", "odecheck_reference")]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class Done:
    """One commit that was benchmarked.

    Attributes:
        commit: its hash.
        bench: the regular expression that chose benchmarks, or nothing.
        suite: a digest of the benchmarks' own files.
        ok: asv ran to its end and every benchmark gave a value or was skipped.
        status: asv's exit status.
        seconds: of the wall, for all of them.
        started: when, in UTC.
        machine: the name that results are kept under.
        device: processor, cores and GPU, in words.
        load: of the machine before and after.
        versions: of Python and the libraries; None where one is not installed.
        output: the end of what asv said.
        messages: name of a benchmark that failed, for some choice of parameters or all → what asv said of it.
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
    messages: dict[str, str] = field(default_factory=dict[str, str])


def launch_method() -> str:
    """How asv starts a benchmark: forked from a process that has torch; anew where there is a GPU, which forks lose."""
    import torch

    return "spawn" if torch.cuda.is_available() else "forkserver"


def run_commit(suite: Suite, commit: str, *, machine: str, bench: str = "") -> Done:
    """Run the suite at one commit.

    Args:
        suite: what is run.
        commit: its hash.
        machine: the name that results are kept under.
        bench: asv's regular expression for the names of benchmarks.

    Returns:
        What was run, which bench.jsonl has as well.
    """
    begun, started, before = perf_counter(), datetime.now(UTC), os.getloadavg()[0]
    with suite.checkout(commit) as checkout, tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "messages.jsonl"
        command = [
            sys.executable,
            str(Path(__file__).with_name("asv_with_messages.py")),
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
        known = filter(None, [os.environ.get("PYTHONPATH")])  # where asv itself may be
        # a suite of somebody else's may ask odecheck, which is where it is here
        ours = os.pathsep.join([where, *OWN, *known])
        paths = {"ASV_PYTHONPATH": where, "PYTHONPATH": ours, "ODECHECK_ASV_MESSAGES": str(kept)}
        environment = {**os.environ, **ONE_THREAD, **paths}
        done = subprocess.run(
            command, cwd=suite.config.parent, env=environment, capture_output=True, text=True, check=False
        )
        messages = _messages(kept)
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
        messages=messages,
        versions={**about({}, seed=0)["versions"], "asv": version("asv")},
    )
    path = _journal(suite, machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as journal:
        journal.write(json.dumps(asdict(made)) + "\n")
    return made


def _messages(kept: Path) -> dict[str, str]:
    lines = map(json.loads, kept.read_text(encoding="utf-8").splitlines() if kept.exists() else [])
    return {line["benchmark"]: line["message"] for line in lines}


def run_commits(
    suite: Suite,
    commits: Iterable[str],
    *,
    machine: str,
    bench: str = "",
    again: bool = False,
    progress: Callable[[str], None] = lambda description: None,
) -> list[Done]:
    """Run the suite at each commit that was not yet run with the same benchmarks.

    Args:
        suite: what is run.
        commits: hashes, in the order in which they are run.
        machine: the name that results are kept under.
        bench: asv's regular expression for the names of benchmarks.
        again: run all of them.
        progress: is told of each commit that is done.

    Returns:
        What was run, now or before, in the order of the commits.

    Raises:
        BadInput: asv is not installed, or refuses its configuration.
    """
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
    """Run asv with its own environments (virtualenv, the version matrix of its configuration).

    Args:
        suite: what is run.
        span: a range of commits, as git has it.
        machine: the name that results are kept under.
        bench: asv's regular expression for the names of benchmarks.
        constraint: a file of versions for pip.

    Returns:
        The exit status of asv.

    Raises:
        BadInput: asv is not installed, or refuses its configuration.
    """
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
    """What was run so far.

    Args:
        suite: whose results.
        machine: the name that they are kept under.

    Returns:
        A commit each, oldest run first; a line that was cut off is left out.
    """
    path = _journal(suite, machine)
    found: list[Done] = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row: dict[str, Any] = json.loads(line)
            row["load"] = tuple(row["load"])
            found.append(Done(**row))
        except (ValueError, TypeError, KeyError):
            continue
    return found


def digest(suite: Suite) -> str:
    """A digest of the files that define the benchmarks: other files, other numbers."""
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
