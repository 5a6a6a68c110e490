"""What the benchmark of SNOpt's step says of figures that are too large, and of none."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "asv_bench"))
import snopt_step


def test_a_goal_that_is_missed_is_said() -> None:
    good = {"task": "a", "amortised_over_sgd": 1.05, "refresh_over_ordinary": 2.9}
    slow = {"task": "b", "amortised_over_sgd": 1.07, "refresh_over_ordinary": 2.9}
    broken = {"task": "c", "amortised_over_sgd": 1.05, "refresh_over_ordinary": float("nan")}
    assert snopt_step.missing([good]) == []
    assert snopt_step.missing([good, slow, broken]) == [
        "b: amortised_over_sgd is 1.070, and may be 1.06",
        "c: refresh_over_ordinary is nan, and may be 3",
    ]


def test_every_model_takes_a_step_of_both_optimizers() -> None:
    """The smallest one, of two rounds: parameters of both are the same at every step, so that the solves are."""
    name = "digits, 16 channels"
    sgd, snopt = (snopt_step.Training(name, kind, "cpu") for kind in ("sgd", "snopt"))
    snopt.next_is_refresh(True)
    for one in (sgd, snopt):
        one.step()
    assert snopt.added > 0 == sgd.added
