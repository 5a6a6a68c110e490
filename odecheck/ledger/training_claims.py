"""Benchmark claims: statements of the papers about cost and training, as tests of significance on rows of training.

A claim says that one model (or optimizer) has less of a quantity than each of its rivals. Both are trained with equal
seeds, so that for seed i there is a log ratio r_i = log(q_i / q'_i), and rows of different seeds are independent. The
claim about one rival is

    holds          when the upper end of the interval of the mean of r is below 0,
    refuted        when its lower end is 0 or above it,
    inconclusive   otherwise, and with fewer than three pairs.

The interval is Student's, r̄ ± t_{n−1} s/√n, each end wrong with probability α/k at most, for a model's k comparisons
(Bonferroni): a wrong "refuted" about any of them has a probability of at most α = 0.05, a wrong "holds" less. A task's
verdict is "holds" when every comparison's is, "refuted" when one is. What did not get to its end (NaN, a solver that
gave up) has lost: see `compared`.
Rows of models whose parameter counts differ by more than a tenth are not compared: the verdict is inconclusive.

A run with a design in its facts is judged by it, look by look, with the further verdict "no difference": see
`odecheck.ledger.design`. A run at figures that the claim's paper has decides the paper's sentence; what any other run
gives is a finding of ours beside it: see `BenchmarkClaim.places`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odecheck.judge import Verdict

from .benchmark_claims import CLAIMS, BenchmarkClaim, final_loss
from .design import ALPHA, FEWEST, NO_DIFFERENCE, Design, quantile

SPREAD = 1.1  # largest ratio of parameter counts
TUNING = 100  # seeds from here on choose learning rates, and judge nothing


@dataclass(frozen=True)
class Comparison:
    """One subject beside one rival.

    Attributes:
        n: pairs of seeds.
        ratio: of the geometric means, subject to rival.
        low: the lower end of its interval.
        high: the upper end.
        verdict: of "the subject has less".
        lost: trainings of the subject that did not get to their end.
        rival_lost: those of the rival.
        note: why it is inconclusive, or nothing.
        claim: the claim's id.
        task: the task that was trained.
        quantity: what is compared.
        subject: a model or an optimizer.
        rival: another.
        of_paper: whether the run was at figures that the claim's paper has.
        designed: whether the run had a design, fixed before it.
    """

    n: int
    ratio: float
    low: float
    high: float
    verdict: str
    lost: int = 0
    rival_lost: int = 0
    note: str = ""
    claim: str = ""
    task: str = ""
    quantity: str = ""
    subject: str = ""
    rival: str = ""
    of_paper: bool = False
    designed: bool = False


def interval(log_ratios: Sequence[float], comparisons: int = 1, alpha: float = ALPHA) -> tuple[float, float, float]:
    """Mean and both ends of its interval; each end is wrong with probability alpha / comparisons at most."""
    r = np.asarray(log_ratios, float)
    mean, n = float(r.mean()), len(r)
    half = quantile(alpha / comparisons, n) * float(r.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    return mean, mean - half, mean + half


def decide(low: float, high: float, n: int, alike: float = 1.0) -> str:
    """The verdict of an interval of a mean log ratio, which is negative where the subject has less.

    Args:
        low: its lower end.
        high: its upper end.
        n: pairs.
        alike: the ratio up to which the two are practically the same; 1: never.
    """
    if n < FEWEST or not (math.isfinite(low) and math.isfinite(high)):
        return Verdict.INCONCLUSIVE
    if -math.log(alike) < low and high < math.log(alike):
        return NO_DIFFERENCE
    if high < 0:
        return Verdict.HOLDS
    return Verdict.REFUTED if low >= 0 else Verdict.INCONCLUSIVE


def compared(
    mine: Mapping[int, float],
    theirs: Mapping[int, float],
    comparisons: int = 1,
    margin: float = 1.0,
    *,
    alpha: float = ALPHA,
    alike: float = 1.0,
) -> Comparison:
    """Compare the numbers of each seed.

    A training without a number has lost its pair: it counts as twice the largest ratio that was seen, in favour of the
    other; where both have none the pair says nothing.

    Args:
        mine: of each seed the subject's number.
        theirs: of each seed the rival's.
        comparisons: among which this is one, for the width of the interval.
        margin: the ratio, 1 or more, up to which the subject's counts as no more than the rival's.
        alpha: each end of the interval is wrong with probability alpha / comparisons at most.
        alike: the ratio, 1 or more, within which the two are practically the same.

    Returns:
        The comparison, without names.
    """
    seeds = sorted(set(mine) & set(theirs))
    lost = {s for s in seeds if not math.isfinite(mine[s])}
    rival_lost = {s for s in seeds if not math.isfinite(theirs[s])}
    ratios = {s: math.log(mine[s] / theirs[s]) for s in seeds if s not in lost | rival_lost}
    worst = max((abs(r) for r in ratios.values()), default=0.0) + math.log(2)
    pairs = [ratios.get(s, worst if s in lost else -worst) for s in seeds if s not in lost & rival_lost]
    n = len(pairs)
    mean, low, high = (
        interval(pairs, comparisons, alpha) if n > 1 else (sum(pairs) if n else math.nan, -math.inf, math.inf)
    )
    return Comparison(
        n=n,
        ratio=math.exp(mean),
        low=math.exp(low),
        high=math.exp(min(high, 700.0)),
        verdict=decide(low - math.log(margin), high - math.log(margin), n, alike),
        lost=len(lost),
        rival_lost=len(rival_lost),
        note="" if n >= FEWEST else f"{n} pairs, fewer than {FEWEST}",
    )


def followed(
    mine: Mapping[int, float],
    theirs: Mapping[int, float],
    design: Design,
    comparisons: int = 1,
    margin: float = 1.0,
    *,
    alike: float = 1.0,
) -> Comparison:
    """Look at the pairs as the design says, until a look decides or there is none that has all of its pairs.

    Args:
        mine: as for `compared`.
        theirs: as for `compared`.
        design: fixed before the first of them was trained.
        comparisons: as for `compared`.
        margin: as for `compared`.
        alike: as for `compared`.

    Returns:
        The comparison at the look that decided, or at the last one that could be made; its note says which.
    """
    found: Comparison = Comparison(0, math.nan, 0.0, math.inf, Verdict.INCONCLUSIVE)
    all_looks = len(design.looks)
    for k, (n, level) in enumerate(zip(design.looks, design.levels, strict=True), start=1):
        seeds = design.seeds[:n]
        if not all(seed in mine and seed in theirs for seed in seeds):
            return replace(found, note=f"not ended: {k - 1} of {all_looks} looks")
        one, other = ({seed: numbers[seed] for seed in seeds} for numbers in (mine, theirs))
        found = compared(one, other, comparisons, margin, alpha=level, alike=alike)
        found = replace(found, note=f"look {k} of {all_looks}{'; ' if found.note else ''}{found.note}")
        if found.verdict != Verdict.INCONCLUSIVE:
            break
    return found


def ended(one: Comparison) -> bool:
    """Whether a comparison of a design needs no more trainings: it is decided, or has been looked at for the last time.

    Args:
        one: what `followed` gave.
    """
    return one.verdict != Verdict.INCONCLUSIVE or not one.note.startswith("not ended")


def judge_rows(rows: Any, facts: Mapping[str, Any] | None = None) -> list[Comparison]:
    """All comparisons that rows of training.parquet allow.

    Args:
        rows: a DataFrame; each task is judged by itself, models at one optimizer and rate, optimizers on one model.
        facts: what run.json says of the run: whether it has a design, and the figures of its setting.

    Returns:
        The comparisons; of a claim none of whose subjects or none of whose rivals was trained there is none.
    """
    found = list[Comparison]()
    design = Design.of(facts)
    for claim in CLAIMS:
        if design is not None and claim.id not in design.claims:
            continue
        apart = ["task", "optimizer", "learning_rate"] if claim.kind == "model" else ["task", "model"]
        for _, part in rows.groupby(apart, sort=False):
            judging = part[part["seed"] < TUNING]
            trained = set(judging[claim.kind])
            if trained.intersection(claim.subjects) and trained.intersection(claim.rivals):
                here = claim.at_its_place(judging, facts)
                judged = _judge(claim, part if claim.tuned else judging, design)
                found += [replace(one, of_paper=here, designed=design is not None) for one in judged]
    return found


def _judge(claim: BenchmarkClaim, rows: Any, design: Design | None) -> list[Comparison]:
    if claim.tuned:
        rows = at_equal_time(best_rates(rows, claim.kind))
    names = (*claim.subjects, *claim.rivals)
    counts = rows[rows[claim.kind].isin(names)]["parameters"]
    unequal = f"{counts.min():.0f} to {counts.max():.0f} parameters" if counts.max() > SPREAD * counts.min() else ""
    found: list[Comparison] = []
    for quantity, measure in claim.quantities.items():
        numbers = {
            name: {int(seed): measure(one) for seed, one in rows[rows[claim.kind] == name].groupby("seed")}
            for name in names
        }
        named = f"{claim.id}: {quantity}"
        if not _measured(claim, quantity, rows) or (design is not None and named not in design.alike):
            continue
        for subject in claim.subjects:
            for rival in claim.rivals:
                margin, among = claim.margins.get(quantity, 1.0), len(claim.rivals) * len(claim.quantities)
                pair = numbers[subject], numbers[rival]
                one = (
                    compared(*pair, among, margin)
                    if design is None
                    else followed(*pair, design, among, margin, alike=design.alike[named])
                )
                if unequal:
                    one = replace(one, verdict=Verdict.INCONCLUSIVE, note=unequal)
                found.append(
                    replace(
                        one,
                        claim=claim.id,
                        task=str(rows["task"].iloc[0]),
                        quantity=quantity,
                        subject=subject,
                        rival=rival,
                    )
                )
    return found


def _measured(claim: BenchmarkClaim, quantity: str, rows: Any) -> bool:
    """Whether rows have what a quantity is measured in: runs of former versions have not all of it."""
    column = claim.evaluated.get(quantity, "loss")
    return column in rows and bool(rows[column].notna().any())


def best_rates(rows: Any, kind: str) -> Any:
    """The rows at each one's best learning rate, by the mean final loss over the tuning seeds, which are then left out.

    Tuning seeds are 100 and more: trainings that choose a rate do not also judge it. A rate at which one of them was
    stopped is not chosen. Without tuning seeds: all rows, where each has one rate. Raises ValueError otherwise.
    """
    judged = rows[rows["seed"] < TUNING]
    kept: list[Any] = []
    for name, mine in judged.groupby(kind, sort=False):
        tried = rows[(rows[kind] == name) & (rows["seed"] >= TUNING)]
        rates = list(mine["learning_rate"].unique())
        if len(rates) > 1 and not len(tried):
            raise ValueError(f"{name} has the rates {rates} and no tuning seed ({TUNING} and more) to choose by")
        best = best_rate(tried) if len(tried) else rates[0]
        kept.append(mine[mine["learning_rate"] == best])
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    return pd.concat(kept, ignore_index=True) if kept else judged


def best_rate(tried: Any) -> float | None:
    """The learning rate with the least mean final loss over the seeds, among those at which no training was stopped.

    Args:
        tried: a DataFrame of rows of training, of one model or optimizer.

    Returns:
        The rate; None where there is none.
    """
    losses = {
        float(rate): float(np.mean([final_loss(one) for _, one in at.groupby("seed")]))
        for rate, at in tried.groupby("learning_rate")
    }
    finite = {rate: loss for rate, loss in losses.items() if math.isfinite(loss)}
    return min(finite, key=lambda rate: finite[rate]) if finite else None


def at_equal_time(rows: Any) -> Any:
    """The rows up to the CPU time that every training of the same seed has reached."""
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    kept: list[Any] = []
    for _, pair in rows.groupby("seed"):
        key = ["model", "optimizer", "learning_rate"]
        ends = [one["cpu_seconds"].max() for _, one in pair.groupby(key) if (one["message"] == "").all()]
        end = min(ends, default=math.inf)
        kept.append(pair[pair["cpu_seconds"] <= end])
    return pd.concat(kept, ignore_index=True)
