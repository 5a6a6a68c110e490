"""Commits of this project side by side: evaluations, exact, and CPU time in turn, with the intervals of its ratios.

    python asv_bench/pairs.py [reports] [--budget 3]

Each of `COMMITS` is compared with the one before it, and the last one with itself, which shows what the machine alone
makes of a ratio. The files of a commit are taken from the repository into a folder of their own; benchmarks are those
of this checkout. Writes pairs.json and pairs.md. torchdiffeq's own backpropagation, which no commit changes, is
beside ours. Takes some ten CPU minutes.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

from odecheck.bench import PairServer, Suite, paired, read_series, run_commits
from odecheck.bench.pairs import PairsError
from odecheck.bench.suite import source_folders

CONFIG = Path(__file__).with_name("asv.conf.json")
# each a commit of the main line, and what it stands for
COMMITS = {
    "243e4c29": "before steps could be compiled",
    "85294f56": "gradients by the graph of the solve, where that is cheaper",
    "59ed4447": "the main line when this was made",
}
# asv's name of a class of benchmarks → what counts evaluations there, and which choices of its parameters are timed
SERIES = {
    "gradient.QuickGradient": (("track_nfe_forward", "track_nfe_backward"), (0, 2, 3)),
    "second_order.QuickHessianProduct": (("track_nfe",), (0, 1)),
}
PROCESSES, MACHINE = 6, "pairs"


@dataclass(frozen=True)
class Row:
    """One benchmark at two commits.

    Attributes:
        old: short hash of the first commit.
        new: of the second one; the same for a comparison that has to show nothing.
        benchmark: asv's name of the class, with the choice of parameters.
        nfe_old: evaluations of the field at the first.
        nfe_new: at the second.
        ratio: of CPU times, new / old; None where it does not run on a side, which `message` says.
        low: lower end of the 99 % interval.
        high: its upper end.
        message: why there is no ratio.
    """

    old: str
    new: str
    benchmark: str
    nfe_old: float
    nfe_new: float
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    message: str = ""


def evaluations(suite: Suite, commits: Sequence[str]) -> dict[tuple[str, str, int], tuple[float, str]]:
    """(commit, class, choice of parameters) → (evaluations, the parameters in words), by asv."""
    names = "|".join(f"{name}.{count}" for name, (counts, _) in SERIES.items() for count in counts)
    for one in run_commits(suite, commits, machine=MACHINE, bench=names):
        if one.status not in (0, 2):
            raise SystemExit(f"{one.commit}: asv ended with {one.status}\n{one.output[-1000:]}")
    found: dict[tuple[str, str, int], tuple[float, str]] = {}
    for series in read_series(suite, MACHINE, commits):
        name, _, count = series.benchmark.rpartition(".")
        if name not in SERIES or count not in SERIES[name][0]:
            continue
        for point in series.points:
            key = point.commit, name, series.index
            before = found.get(key, (0.0, ""))[0]
            found[key] = before + point.value, ", ".join(str(one).strip("'") for one in series.params)
    return found


def compared(budget: float) -> list[Row]:
    """All comparisons; budget: CPU seconds of timings of each."""
    suite = Suite.load(CONFIG)
    whole = [suite.git("rev-parse", one).strip() for one in COMMITS]
    counts, rows = evaluations(suite, whole), list[Row]()
    with PairServer() as server:
        for old, new in [*pairwise(whole), (whole[-1], whole[-1])]:
            with suite.checkout(old) as a, suite.checkout(new) as b:
                sides = source_folders(a), source_folders(b)
                for name, (_, choices) in SERIES.items():
                    for index in choices:
                        (was, words), (now, _) = (counts.get((one, name, index), (0.0, "")) for one in (old, new))
                        row = Row(old[:8], new[:8], f"{name.rpartition('.')[2]}({words})", was, now)
                        try:
                            found = paired(
                                server,
                                suite.benchmarks,
                                f"{name}.time_cpu",
                                sides,
                                index=index,
                                processes=PROCESSES,
                                budget=budget,
                            )
                            row = replace(row, ratio=found.ratio, low=found.low, high=found.high)
                        except PairsError as error:
                            row = replace(row, message=str(error).splitlines()[0][:200])
                        rows.append(row)
                        print(_line(row), flush=True)
    return rows


def page(rows: Sequence[Row], load: Sequence[float], cores: int) -> str:
    """The report of rows."""
    commits = "\n".join(f"- `{commit}`: {what}" for commit, what in COMMITS.items())
    body = "\n".join(_line(row) for row in rows)
    return f"""# Commits side by side

Made by `make -C reports pairs` on {cores} cores with a load of {load[0]:.1f} at the start and {load[1]:.1f} at the end.
Evaluations of the field are exact. Times are CPU time in turn, {PROCESSES} processes of each side. Where 1 lies in the
interval, no change was seen. The last rows compare a commit with itself: what they show is the machine's.

{commits}

| old | new | benchmark | evaluations | ratio | CPU time, new / old | 99 % interval | |
|---|---|---|---|---|---|---|---|
{body}
"""


def _line(row: Row) -> str:
    ratio = "" if not row.nfe_old else f"×{row.nfe_new / row.nfe_old:.3f}"
    time, interval, said = "", "", row.message
    if row.ratio is not None and row.low is not None and row.high is not None:
        time, interval = f"×{row.ratio:.3f}", f"×{row.low:.3f} to ×{row.high:.3f}"
        said = "slower" if row.low > 1 else "quicker" if row.high < 1 else "no change seen"
    return (
        f"| {row.old} | {row.new} | {row.benchmark} | {row.nfe_old:.0f} → {row.nfe_new:.0f} | {ratio} | {time} "
        f"| {interval} | {said} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("reports"))
    parser.add_argument("--budget", type=float, default=3.0, help="CPU seconds of the timings of one comparison")
    how = parser.parse_args()
    load = [os.getloadavg()[0]]
    rows = compared(how.budget)
    load.append(os.getloadavg()[0])
    facts = {"cores": os.cpu_count(), "load": load, "rows": [asdict(row) for row in rows]}
    (how.folder / "pairs.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (how.folder / "pairs.md").write_text(page(rows, load, os.cpu_count() or 1), encoding="utf-8")


if __name__ == "__main__":
    main()
