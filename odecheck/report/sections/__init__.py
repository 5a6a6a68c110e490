"""The sections of a report, one file each: `section(found)` makes it from tables, or None where there are none of its.

They count, sort and take medians; nothing is computed here that a table does not hold.
"""

from __future__ import annotations

from collections.abc import Callable

from ..blocks import Section
from ..tables import Found
from . import (
    claims,
    conformance,
    cost,
    history,
    horizon,
    kronecker,
    ledger,
    made,
    records,
    selftest,
    slopes,
    stability,
    training,
    verdict,
)

ORDER: tuple[Callable[[Found], Section | None], ...] = tuple(
    module.section
    for module in (
        verdict, claims, ledger, slopes, conformance, cost, training, horizon, stability, kronecker, history,
        selftest, records, made,
    )
)  # fmt: skip
