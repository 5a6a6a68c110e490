"""Which question a claim asks: whatever a library is asked has a script."""

from __future__ import annotations

import pandas as pd
import pytest

from odecheck.conformance.find import found
from odecheck.conformance.plan import claims, posed
from odecheck.engines.found import libraries
from odecheck.errors import BadInput, NotApplicable, Unsupported
from odecheck.reproduce import script
from odecheck.subject import SHIPPED, Subject
from tests.reproduce.alone import REPORTS


def test_every_refuted_row_of_the_committed_matrix_has_a_script():
    table = pd.read_parquet(REPORTS / "conformance.parquet")
    refuted = table[table.verdict == "refuted"]
    assert len(refuted) > 100
    for row, text, library in zip(refuted.row, refuted.reproducer, refuted.library, strict=True):
        assert 10 < len(text.splitlines()) <= 40, row
        compile(text, row, "exec")
        assert "odecheck" not in text or library == "odecheck", row
    for row, text in zip(refuted.row[::25], refuted.reproducer[::25], strict=True):  # and it is today's
        at = found(row, REPORTS)
        assert text == script(
            at.claim,
            at.subject,
            at.problem,
            observed=at.observed,
            expected=at.expected,
            bar=at.bar,
            worst=at.worst,
            library=at.library,
        )


@pytest.mark.parametrize("library", libraries(), ids=lambda library: library.name)
def test_whatever_a_library_is_asked_has_a_script(library):
    """Also what nobody has seen to fail: the next release may."""
    ways = {(way.engine_name, type(way.solver)): way for way in library.asks(library.tested[-1], "")}
    for way in ways.values():
        subject = Subject(SHIPPED, way.solver, way.engine)
        for topic in way.topics:
            for claim in claims(topic):
                try:
                    text = script(claim, subject, posed(claim, True)[0], observed=1.0, expected=0.0, bar=0.0)
                except (AssertionError, NotApplicable, Unsupported):  # as of orders, for an adaptive method
                    continue
                except BadInput as refused:
                    pytest.fail(f"{claim.id}, {way.engine_name} {way.method}: {refused}")
                compile(text, claim.id, "exec")
