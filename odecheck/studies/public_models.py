"""One training step of public projects, watched: what is decided about the solves inside, and what is found.

None of their code is here: `public_steps` declares how each model is built, and the checkouts are the user's, each a
folder with the name of its repository.

    git clone https://github.com/rtqichen/torchdiffeq checkouts/torchdiffeq      and others, see the report
    python -m odecheck.studies.public_models checkouts --write reports/public_models.md

Each step runs in a process of its own, one after the other. A project without a checkout is a line that says so. The
exit status is 1 where a step could not be watched, a finding is none of those that the published code is known for, or
a known one was missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from odecheck.foreign import said, words
from odecheck.watching import Row, watch

from .public_steps import STEPS, PublicStep

BUDGET, LIMIT = 60.0, 600.0
RESULTS = ("solution", "event time", "dL/dy0", "dL/dtheta", "dL/dt")
HEAD = ("project", "model", "commit", "solves", "parameters", "states", "decided", "largest errors", "s", "findings")


def watched(one: PublicStep, folder: Path, budget: float = BUDGET) -> dict[str, Any]:
    """Run one step of a checkout under watch.

    Args:
        one: which.
        folder: of the checkout.
        budget: seconds of process time that judging may take.

    Returns:
        What a line of the table says, as plain numbers and text; `failure` where the step itself raised.
    """
    torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
    start = time.process_time()
    try:
        run = one.make(folder)
        with watch(budget=budget) as step:
            run()
    except Exception as error:
        return {"failure": said(error)}
    rows = step.rows
    return {
        "solves": len(rows),
        "parameters": max((row.parameters for row in rows), default=0),
        "states": max((row.states for row in rows), default=0),
        "decided": _decided(rows),
        "errors": {n: max(q.error for q in found) for n in RESULTS if (found := _all(rows, n))},
        "findings": sorted({f.kind for row in rows for f in row.findings}),
        "reasons": sorted({words(row.reason, 200) for row in rows if row.state != "judged"}),
        "seconds": time.process_time() - start,
    }


def _all(rows: Sequence[Row], name: str) -> list[Any]:
    return [row.quantities[name] for row in rows if name in row.quantities]


def _decided(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """For each result how many solves had which verdict; `undecided` are the solves without any result."""
    out = {name: dict(Counter(str(q.verdict) for q in _all(rows, name))) for name in RESULTS if _all(rows, name)}
    none = sum(not row.quantities for row in rows)
    return out | ({"undecided": {"": none}} if none else {})


def in_a_process(one: PublicStep, folder: Path, budget: float) -> dict[str, Any]:
    """`watched` in a process of its own, so that modules of equal names do not meet."""
    command = [sys.executable, "-m", "odecheck.studies.public_models", str(folder.parent)]
    command += ["--only", f"{one.repository} {one.model}", "--budget", str(budget), "--inside"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return {"failure": f"no answer in {LIMIT:.0f} s"}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"failure": words((done.stderr.splitlines() or ["it ended without a word"])[-1], 200)}


def table(results: Sequence[tuple[PublicStep, str, dict[str, Any]]]) -> str:
    """The report in Markdown.

    Args:
        results: of each step the declaration, the commit of the checkout and what `watched` gives.
    """
    lines = [
        "# Training steps of public projects",
        "",
        "One training step of each model on synthetic data, watched as it is, by "
        "`python -m odecheck.studies.public_models FOLDER_OF_CHECKOUTS`. *Decided*: for each result how many solves "
        "hold (✓), are refuted (✗), are inconclusive (?) or have no promise (–: fixed steps). Errors are relative, "
        f"the largest of all solves. Seconds are of the process, the model's own included. torch {torch.__version__}, "
        f"torchdiffeq {version('torchdiffeq')}.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|" + "---|" * len(HEAD),
        *(_line(*result) for result in results),
        "",
    ]
    lines += [
        f"- {one.repository}, {one.model}: {_cell('; '.join(found['reasons']))}"
        for one, _, found in results
        if found.get("reasons")
    ]
    wrong = sum(bool(surprises(one, found)) for one, _, found in results)
    known = sum(bool(one.mistakes) for one, _, _ in results)
    lines += ["", f"{len(results)} steps, {known} with a published mistake; {wrong} with a surprise.", ""]
    return "\n".join(lines)


def _line(one: PublicStep, commit: str, found: dict[str, Any]) -> str:
    if "failure" in found:
        return f"| {one.repository} | {one.model} | {commit} | | | | | | | not watched: {_cell(found['failure'])} |"
    signs = {"holds": "✓", "refuted": "✗", "inconclusive": "?", "not applicable": "–", "": ""}
    decided = [f"{n} {' '.join(f'{k}{signs[v]}' for v, k in c.items())}" for n, c in found["decided"].items()]
    errors = [f"{n} {e:.0e}" for n, e in found["errors"].items()]
    findings = [f"{k} (published)" if k in one.mistakes else f"**{k}**" for k in found["findings"]]
    cells = (
        one.repository,
        one.model,
        commit,
        f"{found['solves']}",
        f"{found['parameters']:,}",
        f"{found['states']:,}",
        ", ".join(decided),
        ", ".join(errors),
        f"{found['seconds']:.1f}",
        ", ".join(findings) or "none",
    )
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return words(text, 300).replace("|", "\\|").replace("\n", " ")


def surprises(one: PublicStep, found: dict[str, Any]) -> list[str]:
    """What is not as it should be: a failure, a finding that is not known, a known one that was missed."""
    if "failure" in found:
        return [found["failure"]]
    return sorted(one.mistakes ^ set(found["findings"])) + ([] if found["solves"] else ["no solve was seen"])


def _commit(folder: Path) -> str:
    asked = ["git", "-C", str(folder), "rev-parse", "--short=10", "HEAD"]
    marker = folder / ".commit"
    if marker.exists():
        return marker.read_text().strip()
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() if (folder / ".git").exists() else ""


def main(arguments: list[str] | None = None) -> int:
    """Watch the steps, print or write the table; 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the checkouts, each by the name of its repository")
    parser.add_argument("--only", default="", help="those whose repository and model contain this")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds to judge a step, %(default)s by default")
    parser.add_argument("--write", type=Path, help="a file for the table")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    chosen = [one for one in STEPS if given.only in f"{one.repository} {one.model}"]
    if given.inside:
        warnings.simplefilter("ignore")
        (one,) = [one for one in chosen if given.only == f"{one.repository} {one.model}"]
        print(json.dumps(watched(one, _checkout(given.folder, one).resolve(), given.budget)))
        return 0
    results: list[tuple[PublicStep, str, dict[str, Any]]] = []
    for one in chosen:
        folder = _checkout(given.folder, one)
        if not folder.is_dir():
            print(f"{one.repository}: no checkout at {folder}; git clone https://github.com/{one.repository} {folder}")
            continue
        found = in_a_process(one, folder, given.budget)
        results.append((one, _commit(folder), found))
        print(_line(one, _commit(folder), found), flush=True)
    text = table(results)
    if given.write:
        given.write.write_text(text)
    return 1 if any(surprises(one, found) for one, _, found in results) or not results else 0


def _checkout(folder: Path, one: PublicStep) -> Path:
    return folder / one.repository.partition("/")[2]


if __name__ == "__main__":
    sys.exit(main())
