"""The exit status of a ledger."""

from __future__ import annotations

from collections.abc import Sequence

from odecheck.claims import ALL
from odecheck.judge import Verdict
from odecheck.records.summary import UNDECIDED

from .build import Row


def exit_status(rows: Sequence[Row]) -> int:
    """What `odecheck claims --verify` exits with.

    Args:
        rows: Of the ledger.

    Returns:
        1 where a verdict is an error or none that its claim allows, otherwise 3 where one is inconclusive, otherwise 0.
    """
    by_id = {claim.id: claim for claim in ALL}
    verdicts = {row.verdict for row in rows}

    def unexpected(row: Row) -> bool:
        claim = by_id.get(row.claim)
        decided = row.verdict in (Verdict.HOLDS, Verdict.REFUTED)
        return claim is not None and claim.when is None and decided and row.verdict != claim.expect

    if Verdict.ERROR in verdicts or any(map(unexpected, rows)):
        return 1
    return UNDECIDED if Verdict.INCONCLUSIVE in verdicts else 0
