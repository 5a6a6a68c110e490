"""What several comparisons come to: the verdict of a task, and a claim's row of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from odecheck.judge import Verdict

from .benchmark_claims import BenchmarkClaim
from .design import NO_DIFFERENCE
from .training_claims import Comparison


def verdict(found: Sequence[Comparison]) -> str:
    """Of a task: "holds" when all of its comparisons do, "refuted" when one is; not the former with "no difference"."""
    return worst({one.verdict for one in found})


def worst(seen: AbstractSet[str]) -> str:
    """What several verdicts of a statement about all of them come to; of none: inconclusive."""
    order = (Verdict.REFUTED, Verdict.INCONCLUSIVE, NO_DIFFERENCE, Verdict.HOLDS)
    return next((one for one in order if one in seen), Verdict.INCONCLUSIVE)


def ledger_row(claim: BenchmarkClaim, found: Sequence[Comparison]) -> dict[str, Any]:
    """What the ledger says of a claim: the verdict of the runs at its paper's figures, and beside it what others gave.

    Args:
        claim: the statement.
        found: its comparisons, of all runs.

    Returns:
        The fields of the ledger's `Row`. Without a run at the paper's figures the claim is not judged.
    """
    theirs, ours = (_by_task([o for o in found if o.of_paper == here]) for here in (True, False))
    told = _told(theirs) if theirs else "no training kept at figures of the paper"
    beside = f"; findings at other figures, no verdict on the paper: {_told(ours)}" if ours else ""
    return {
        "claim": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "verdict": str(worst(set(theirs.values())) if theirs else Verdict.NOT_APPLICABLE),
        "note": f"{told}{beside} (training.md)" if found else "benchmark claim: no training kept",
    }


def _by_task(found: Sequence[Comparison]) -> dict[str, str]:
    """Of each task its verdict: that of runs with a design, where there are some that have begun to decide."""
    designed = {one.task for one in found if one.designed and one.n}
    found = [one for one in found if one.designed or one.task not in designed]
    return {task: verdict([o for o in found if o.task == task]) for task in dict.fromkeys(o.task for o in found)}


def _told(tasks: Mapping[str, str]) -> str:
    return "; ".join(f"{task}: {one}" for task, one in tasks.items())
