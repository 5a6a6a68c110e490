"""The exit status of a ledger: what the claims allow is 0, what is not decided is not."""

from __future__ import annotations

import pytest

from odecheck.ledger.build import CONDITIONAL, Row
from odecheck.ledger.status import exit_status

HOLDS = Row("SOL-2", "It is met.", "flow", "holds")


@pytest.mark.parametrize(
    ("claim", "verdict", "status"),
    [
        ("SOL-2", "refuted", 1),
        ("SOL-2", "inconclusive", 3),
        ("SOL-2", "error", 1),
        ("SOL-2", "not applicable", 0),
        ("SNOPT-11", "refuted", 0),  # false when read literally
        ("SNOPT-11", "holds", 1),
        ("HB-3", CONDITIONAL, 0),
        ("HB-4", "refuted", 0),
        ("SNOPT-13", "inconclusive", 3),
    ],
)
def test_exit_status(claim, verdict, status):
    assert exit_status([HOLDS, Row(claim, "", "", verdict)]) == status
