"""The committed reports say what today's code finds: rows drawn from their tables are judged again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from odecheck.conformance.libraries import Version
from odecheck.conformance.matrix import digest, is_expected, known_failure, matrix
from odecheck.cost import work_precision
from odecheck.cost.presets import problems, settings
from odecheck.engines.found import libraries
from odecheck.record import evaluate

REPORTS = Path(__file__).parents[2] / "reports"
CONFORMANCE = pd.read_parquet(REPORTS / "conformance.parquet")
EACH = 6  # rows of each library
# the drawn rows are those of the smallest ids: any, but the same in every run; slow ones wait for the whole matrix
QUICK = CONFORMANCE[(CONFORMANCE["seconds"] < 0.5) & CONFORMANCE["verdict"].isin(["holds", "refuted", "unsupported"])]


@pytest.mark.parametrize("library", libraries(), ids=lambda library: library.name)
def test_rows_of_the_matrix_are_todays(library, tmp_path):
    if not library.installed:
        pytest.fail(f"{library.name} is not installed; what to type: pip install -e '.[peers]'")
    mine = QUICK[(QUICK["library"] == library.name) & (QUICK["version"] == library.installed)]
    assert len(mine), (
        f"the committed matrix has no row of {library.name} {library.installed}: make -C reports conformance"
    )
    drawn = mine.sort_values("row").groupby("verdict").head(EACH // 2).set_index("row")
    found = matrix([Version(library, library.installed)], tmp_path)
    judged = 0
    for unit in found.units:
        for claim, key in zip(unit.claims, unit.keys, strict=True):
            if digest(*key) in drawn.index:
                committed = drawn.loc[digest(*key)]
                record = evaluate(claim, unit.subject, unit.problem)
                assert str(record.verdict) == committed["verdict"], committed.to_dict()
                _, way = found.origin[key]
                why = known_failure(library, library.installed, way, claim.id, record.problem)
                assert is_expected(record, why) == committed["ok"]
                judged += 1
    assert judged == len(drawn)


COUNTS = [
    "nfe_forward",
    "nfe_backward",
    "accepted_forward",
    "rejected_forward",
    "accepted_backward",
    "rejected_backward",
]
CASE = ["problem", "engine", "method", "rtol", "quantity"]


def test_counts_of_the_cost_report_are_todays():
    """Of the first rung of every engine but those that are compiled first, which takes seconds each."""
    committed = pd.read_parquet(REPORTS / "cost.parquet")
    quick = [s for s in settings() if not s.engine.name.startswith("diffrax")]
    problem = next(p for p in problems() if p.name == committed["problem"].iloc[0])
    fresh = pd.DataFrame(work_precision(quick, problem, ("solution", "gradient"), rungs=1, repeat=0))
    assert len(fresh) >= 20
    kept = committed.set_index(CASE).loc[pd.MultiIndex.from_frame(fresh[CASE])]
    pd.testing.assert_frame_equal(kept[COUNTS].reset_index(drop=True), fresh[COUNTS], check_dtype=False)
