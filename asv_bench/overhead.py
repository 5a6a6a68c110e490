"""What counting adds to what is counted, measured in two ways, by CPU time, in one process.

    python asv_bench/overhead.py [--rounds 200] [--rtol 1e-6] [--text ENGINE]

By parts: what is added to a call of the field, to a step and to a solve, each in a tight loop on a field that does
nothing, times how many of them there are, over the least time of the uncounted run. It is the same again on a busy
machine, and decides: exit status 1 when it is above 2 % anywhere.

Directly: uncounted and counted runs in turn, in an order drawn anew for each round; the ratio of the two least times
and the median of the rounds' ratios. A second uncounted run in every round says how far such ratios are from one where
there is nothing to see.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from odecheck_reference import catalogue
from torch import Tensor, nn

from odecheck import Adaptive, Subject
from odecheck.cost import QUANTITIES, Posed, counted, pose
from odecheck.engines.base import Engine
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.errors import Unsupported
from odecheck.subject import SHIPPED

BOUND = 0.02
PROBLEM = "tanh network"


class Still(nn.Module):
    """y' = y, and nothing is computed."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return y


def seconds(run: Callable[[], object], loops: int = 1) -> float:
    begun = time.process_time_ns()
    for _ in range(loops):
        run()
    return (time.process_time_ns() - begun) * 1e-9 / loops


def least(run: Callable[[], object], loops: int = 1000, repeat: int = 30) -> float:
    return min(seconds(run, loops) for _ in range(repeat))


def parts(solver: Adaptive) -> tuple[float, float, float]:
    """Seconds that counting adds to a call of the field, to an accepted step, to a solve."""
    field, t, y = Still(), torch.tensor(0.0), torch.zeros(2, 2)
    plain = least(lambda: field(t, y))
    with counted(field, solver) as counter:
        call = least(lambda: field(t, y)) - plain
        accepts = counter.callbacks()["callback_accept_step"]
        step = least(lambda: accepts(t, y, t))

    def solve() -> None:
        with counted(field, solver):
            pass

    return max(0.0, call), step, least(solve, 100)


def directly(posed: Posed, rounds: int) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """The least uncounted time; counted over uncounted, least and median; the same for uncounted over uncounted."""
    runs = {"plain": posed, "counted": posed.counted, "again": posed}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name in random.sample(list(runs), len(runs)):
            times[name].append(seconds(runs[name]))

    def over(name: str) -> tuple[float, float]:
        pairs = [new / old for new, old in zip(times[name], times["plain"], strict=True)]
        return min(times[name]) / min(times["plain"]), median(pairs)

    return min(times["plain"]), over("counted"), over("again")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--rtol", type=float, default=1e-6, help="a smaller one: longer solves")
    parser.add_argument("--text", default="", help="only engines whose name contains this")
    how = parser.parse_args()
    torch.set_num_threads(1)
    gc.disable()
    problem = next(p for p in catalogue.full() if p.name == PROBLEM).with_(running=None)
    solver = Adaptive("dopri5", rtol=how.rtol)
    call, step, solve = parts(solver)
    print(f"added to a call {call * 1e6:.2f} µs, to a step {step * 1e6:.2f} µs, to a solve {solve * 1e6:.1f} µs")
    print(f"{PROBLEM}, batch {problem.batch}, {solver.name}; {how.rounds} rounds; least / least, median of ratios")
    print(f"{'engine':22}{'quantity':10}{'by parts':>9}{'directly':>17}{'nothing':>17}")
    engines: list[Engine] = [Backprop(), Adjoint(), Closed(), Discrete()]
    worst = 0.0
    for engine in engines:
        for quantity in QUANTITIES if how.text in engine.name else ():
            posed = pose(Subject(SHIPPED, solver, engine), problem, quantity)
            try:
                counts = posed.counted()[1].counts(posed.ts)
            except (Unsupported, RuntimeError):
                continue
            found, over, nothing = directly(posed, how.rounds)
            calls = (counts.nfe_forward or 0) + (counts.nfe_backward or 0)
            steps = sum(
                getattr(counts, f"{which}_{way}") or 0
                for which in ("accepted", "rejected")
                for way in ("forward", "backward")
            )
            added = (calls * call + steps * step + solve) / found
            worst = max(worst, added)
            shown = "".join(f"{ratio:9.3f}{middle:8.3f}" for ratio, middle in (over, nothing))
            print(f"{engine.name:22}{quantity:10}{added:9.2%}{shown}", flush=True)
            gc.collect()
    print(f"at most {worst:.2%} by parts; allowed {BOUND:.0%}")
    sys.exit(int(worst > BOUND))


if __name__ == "__main__":
    main()
