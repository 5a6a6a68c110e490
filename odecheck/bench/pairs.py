"""Two commits timed side by side: CPU time, in turn, in several processes of each, judged against their own scatter.

The same code takes a per cent more or less in another process, for as long as that lives (where its memory lies, for
one). So the unit is the process: each gets one number, the logarithm of its least time over many short rounds, since
what else the machine does can only add to it, and the two sides are compared by Welch's t with the processes as the
sample. On two cores that seven other processes shared, the least time scattered by 1 % between processes, the median by
2.5 %. A difference counts when it is significant, larger than what null commits (a commit against itself) showed, and
is seen a second time in new processes. What runs on a GPU is timed by the benchmark's own timer, the GPU waited for.

Source: B. L. Welch, Biometrika 34 (1947), means of two samples of unequal variances.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from scipy import stats

from .changes import Change
from .results import Series
from .run import ONE_THREAD

PRELOADED = ("numpy", "scipy", "torch", "torchdiffeq", "asv_runner.discovery")
PROCESSES, ROUNDS, SECONDS, BUDGET = 8, 25, 0.003, 8.0
SIGNIFICANT = 0.005
FLOOR = 0.025  # a smaller difference is of no interest


@dataclass(frozen=True)
class Pairs:
    """One comparison. ratio: CPU time new / old; p: of Welch's test; low, high: 99 % interval of the ratio."""

    ratio: float
    p: float
    low: float
    high: float

    def significant(self, floor: float = FLOOR) -> bool:
        return self.p < SIGNIFICANT and abs(math.log(self.ratio)) > floor


class PairsError(RuntimeError):
    """A benchmark that could not be timed on one of the sides; the message is its own."""


class PairServer:
    """A process that has the large libraries imported and times comparisons, one at a time. A context manager."""

    def __init__(self, preloaded: Sequence[str] = PRELOADED) -> None:
        worker = Path(__file__).with_name("pair_worker.py")
        self._process = subprocess.Popen(
            [sys.executable, str(worker), *preloaded],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )

    def __enter__(self) -> PairServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def times(self, spec: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """CPU seconds (children, rounds), and the side of each child. Raises PairsError."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(spec) + "\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline() or '{"error": "the timing process died"}')
        if "error" in found:
            raise PairsError(found["error"])
        return np.array(found["times"]), np.array(found["side"])


def paired(
    server: PairServer,
    root: Path,
    benchmark: str,
    sides: Sequence[Sequence[str]],
    *,
    index: int | None = None,
    processes: int = PROCESSES,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    budget: float = BUDGET,
) -> Pairs:
    """Time one benchmark on two sides.

    root: the folder of the benchmarks. sides: (old, new), each the folders that its packages are imported from.
    index: of the choice of parameters. seconds: how long one timing takes at least. budget: CPU seconds for all of
    them; a slow benchmark gets fewer rounds, eight at least. Raises PairsError when the benchmark fails or refuses on
    a side.
    """
    times, side = server.times(
        {
            "root": str(root),
            "benchmark": benchmark,
            "sides": [list(s) for s in sides],
            "index": index,
            "processes": processes,
            "rounds": rounds,
            "seconds": seconds,
            "budget": budget,
        }
    )
    return judged(times, side)


def judged(times: np.ndarray, side: np.ndarray) -> Pairs:
    """The comparison of measured times (children, rounds) of children on side 0 (old) and 1 (new)."""
    each = np.log(np.maximum(times, 1e-9).min(axis=1))
    old, new = each[side == 0], each[side == 1]
    test: Any = stats.ttest_ind(new, old, equal_var=False)
    interval = test.confidence_interval(0.99)
    return Pairs(
        float(np.exp(new.mean() - old.mean())),
        float(test.pvalue),
        float(np.exp(interval.low)),
        float(np.exp(interval.high)),
    )


def calibrate(
    server: PairServer, root: Path, benchmark: str, side: Sequence[str], *, times: int = 3, **how: Any
) -> float:
    """The least |log ratio| that counts on this machine today: half more than a null commit showed, FLOOR at least."""
    seen = [abs(math.log(paired(server, root, benchmark, (side, side), **how).ratio)) for _ in range(times)]
    return max(FLOOR, 1.5 * max(seen))


def compared(
    server: PairServer,
    root: Path,
    series: Series,
    commits: tuple[str, str],
    sides: Sequence[Sequence[str]],
    floor: float = FLOOR,
    **how: Any,
) -> Change | None:
    """The change of a timed benchmark between two commits, or None. What is significant has to be so twice.

    A side on which it fails or is refused is no change of a time: that is in asv's results already.
    """
    try:
        first = paired(server, root, series.benchmark, sides, index=_index(series), **how)
        if not first.significant(floor):
            return None
        second = paired(server, root, series.benchmark, sides, index=_index(series), **how)
    except PairsError:
        return None
    if not second.significant(floor) or (first.ratio > 1) != (second.ratio > 1):
        return None
    ratio = math.sqrt(first.ratio * second.ratio)
    worse = (ratio < 1) if series.higher else (ratio > 1)
    detail = f"99 % interval ×{second.low:.3f} to ×{second.high:.3f}, seen twice; null commits below ×{1 + floor:.3f}"
    old = next((p.value for p in series.points if p.commit == commits[0]), math.nan)
    return Change(
        series.name,
        series.kind,
        commits[0],
        commits[1],
        old,
        old * ratio,
        ratio,
        "worse" if worse else "better",
        "paired",
        detail,
    )


def _index(series: Series) -> int | None:
    return series.index if series.params else None
