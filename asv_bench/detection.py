"""How well changes between commits are found: trials on scratch repositories whose history is known.

    python asv_bench/detection.py [reports/detection.md] [--trials 10] [--null 100]

Counts: in each trial a repository of nine commits gets one evaluation of the field more per step at a drawn commit;
asv runs them all, and the change has to be found at that commit, in every series, and nowhere else. Times: a commit
that takes 10 % more CPU time has to be found by the paired comparison, and null commits must not be. The repository is
the one that the tests use.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from odecheck.bench import Change, Suite, changes, read_series, run_commits
from odecheck.bench.pairs import PairServer, calibrate, compared
from odecheck.bench.suite import source_folders

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from scratch_history import scratch

COMMITS, MACHINE = 9, "trial"


def counts(trials: int) -> tuple[int, int, int]:
    """Trials found at the right commit, null comparisons, false alarms."""
    found = nulls = alarms = 0
    for trial in range(trials):
        at = random.Random(trial).randrange(1, COMMITS)
        with tempfile.TemporaryDirectory() as folder:
            commits = scratch(Path(folder), [{"stages": 5} if i == at else {} for i in range(COMMITS)])
            suite = Suite.load(Path(folder) / "asv_bench" / "asv.conf.json")
            run_commits(suite, commits, machine=MACHINE)
            series = [s for s in read_series(suite, MACHINE, commits) if s.kind == "count"]
            seen = [c for c in changes(series) if c.gates]
        right = [c for c in seen if commits.index(c.at) == at and "track_nfe" in c.series]
        found += {c.series for c in right} == {s.name for s in series if "track_nfe" in s.name}
        nulls += sum(len(s.points) - 1 for s in series) - 2
        alarms += len(seen) - len(right)
        print(f"trial {trial}: {len(right)} at the right commit, {len(seen) - len(right)} elsewhere", flush=True)
    return found, nulls, alarms


def times(trials: int, nulls: int) -> tuple[int, list[float], int]:
    """Trials of 10 % found, the ratios seen, false alarms among the null comparisons."""
    with tempfile.TemporaryDirectory() as folder, PairServer(("asv_runner.discovery",)) as server:
        history = [{}, {}, {"work": 111}]  # the loop is nine tenths of the time
        commits = scratch(Path(folder), history)
        suite = Suite.load(Path(folder) / "asv_bench" / "asv.conf.json")
        run_commits(suite, commits[:1], machine=MACHINE)
        timed = next(s for s in read_series(suite, MACHINE, commits[:1]) if s.kind == "time")
        with suite.checkout(commits[0]) as a, suite.checkout(commits[1]) as b, suite.checkout(commits[2]) as c:
            old, null, slow = (source_folders(x) for x in (a, b, c))

            def look(new: list[str], floor: float) -> Change | None:
                pair = commits[0], commits[1]
                return compared(server, suite.benchmarks, timed, pair, (old, new), floor)

            seen: list[float] = []
            alarms = 0
            floor = calibrate(server, suite.benchmarks, timed.benchmark, old, index=0, times=5)
            for trial in range(trials):
                change = look(slow, floor)
                seen += [change.ratio] if change and change.direction == "worse" else []
                print(f"trial {trial}: {change.ratio if change else 'not found'}, floor {floor:.3f}", flush=True)
                for _ in range(nulls // trials):
                    alarms += look(null, floor) is not None
                print(f"  false alarms so far: {alarms} of {nulls // trials * (trial + 1)}", flush=True)
    return len(seen), seen, alarms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--null", type=int, default=100, help="null comparisons of times")
    how = parser.parse_args()
    load = [os.getloadavg()[0]]
    right, nulls, false = counts(how.trials)
    slow, ratios, alarms = times(how.trials, how.null)
    load.append(os.getloadavg()[0])
    text = f"""# How well changes between commits are found

Made by `python asv_bench/detection.py reports/detection.md`, on {os.cpu_count()} cores with a load of {load[0]:.1f} at
the start and {load[1]:.1f} at the end.

| change | found | false alarms |
|---|---|---|
| one evaluation more per step, exact counts | {right} of {how.trials}, at the right commit | {false} of {nulls} null \
comparisons |
| 10 % CPU time, paired and interleaved | {slow} of {how.trials}, seen as ×{min(ratios, default=0):.3f} to \
×{max(ratios, default=0):.3f} | {alarms} of {how.null // how.trials * how.trials} null comparisons |

Calibration: before the trials a commit is timed against itself, five times. A difference counts when it is larger than
2.5 % and than one and a half times the largest of these, significant at 0.5 % by Welch's test with the processes (eight
of each side) as the sample, and seen a second time in new processes, in the same direction.

The scratch repositories hold a benchmark without torch; its slower commit raises a loop count by 11 %. The statistic is
the second that was tried: medians of 5 processes found 1 of 3 slow commits (no false alarm in 30), because a median
scatters by about 2.5 % and a minimum by about 1 %; minima over 8 processes took their place before any figure above was
seen.
"""
    print(text)
    if how.path:
        how.path.write_text(text)


if __name__ == "__main__":
    main()
