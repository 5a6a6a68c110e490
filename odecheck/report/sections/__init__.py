"""The sections of a report, one file each: `section(found)` makes it from tables, or None where there are none of its.

They count, sort and take medians; nothing is computed here that a table does not hold.
"""

from __future__ import annotations

from collections.abc import Callable

from odecheck.report.reader import Found
from odecheck.report.text import Section

from . import (
    claims,
    conformance,
    cost,
    history,
    horizon,
    kronecker,
    ledger,
    records,
    selftest,
    slopes,
    stability,
    training,
    verdict,
)
from . import (
    provenance as made,
)

ORDER: tuple[Callable[[Found], Section | None], ...] = tuple(
    module.section
    for module in (
        verdict,
        claims,
        ledger,
        slopes,
        conformance,
        cost,
        training,
        horizon,
        stability,
        kronecker,
        history,
        selftest,
        records,
        made,
    )
)
