"""Two runs beside each other: what changed, by how much, and how sure that is."""

import math
from dataclasses import replace

import numpy as np
import pytest

from odecheck.errors import BadInput
from odecheck.judge import Verdict
from odecheck.report import page
from odecheck.report.compare import build, holm, interval, sign_test
from odecheck.report.markdown import to_markdown
from odecheck.report.text import Table
from tests.report_runs import ALL, FAILED, HELD, cost, many, run


def tables(report):
    return {b.id: b.frame for s in report.sections for b in s.blocks if isinstance(b, Table)}


def compared(tmp_path, before, after, **facts):
    return build(run(tmp_path / "before", before), run(tmp_path / "after", after, **facts))


def test_a_run_beside_itself_changes_nothing(tmp_path):
    report = compared(tmp_path, ALL, ALL)
    assert report.headline == f"0 of {len(ALL)} verdicts changed, 0 of them for the worse." and report.good
    assert "changed" not in tables(report)
    assert set(tables(report)["costs"]["weight"]) == {"unchanged"}


def test_what_changed_for_the_worse_is_told_with_how_far_it_moved(tmp_path):
    worse = replace(HELD, verdict=Verdict.REFUTED, ok=False, observed=0.7, score=1e6)
    edge = replace(HELD, problem="edge", verdict=Verdict.INCONCLUSIVE, ok=False)
    report = compared(tmp_path, [HELD, replace(edge, verdict=Verdict.HOLDS, ok=True), FAILED], [worse, edge])
    assert report.headline == "2 of 2 verdicts changed, 2 of them for the worse. 1 records are gone, 0 are new."
    assert report.good is False
    changed = tables(report)["changed"]
    assert list(changed["after"]) == ["inconclusive", "refuted"] or list(changed["after"]) == [
        "refuted",
        "inconclusive",
    ]
    moved = dict(zip(changed["after"], changed["moved"], strict=True))
    assert moved["refuted"] == pytest.approx(0.2 / 2e-7) and moved["inconclusive"] == 0
    assert dict(zip(changed["after"], changed["weight"], strict=True))["inconclusive"] == "the same within the bars"
    for name in (*changed["record_before"], *changed["record_after"]):
        assert name in report.stories
    assert "holds" in report.stories[changed["record_before"].iloc[0]]
    assert page.to_html(report) and to_markdown(report)


def test_what_became_better_is_good(tmp_path):
    report = compared(tmp_path, [FAILED], [replace(FAILED, verdict=Verdict.HOLDS, ok=True)])
    assert report.good and "1 of 1 verdicts changed, 0 of them" in report.headline


def test_versions_and_machine_are_told_where_they_differ(tmp_path):
    report = compared(tmp_path, ALL, ALL, platform="another", versions={"torch": "9.9"})
    made = tables(report)["made"].set_index("what")
    assert made.loc["torch", "after"] == "9.9" and made.loc["platform", "after"] == "another"
    assert "seed" not in made.index


def test_a_change_of_cost_is_seen_through_noise_and_noise_is_not(tmp_path):
    rng = np.random.default_rng(1)

    def timed(factor):
        rows = [
            replace(r, claim="NODE-2" if i % 2 else "NODE-1", seconds=float(rng.lognormal(sigma=0.1)))
            for i, r in enumerate(many(120))
        ]
        return [replace(r, seconds=r.seconds * (factor if r.claim == "NODE-2" else 1)) for r in rows]

    costs = tables(compared(tmp_path, timed(1.0), timed(0.8)))["costs"]
    seconds = costs[costs["quantity"] == "seconds"].set_index("what")
    assert seconds.loc["NODE-2", "weight"] == "yes"
    assert seconds.loc["NODE-2", "low"] < 0.8 < seconds.loc["NODE-2", "high"] < 1
    assert seconds.loc["NODE-1", "weight"] == "no"
    assert set(costs.loc[costs["quantity"] == "nfe", "weight"]) == {"unchanged"}


def test_a_count_that_changed_is_exact(tmp_path):
    costs = tables(compared(tmp_path, [HELD], [replace(HELD, nfe=HELD.nfe + 1)]))["costs"].set_index("quantity")
    assert costs.loc["nfe", "weight"] == "exact: changed"
    assert costs.loc["nfe", "ratio"] == pytest.approx((HELD.nfe + 1) / HELD.nfe)
    assert costs.loc["seconds", "weight"] == "unchanged"


def test_tables_of_cost_are_compared(tmp_path):
    for name, factor in (("a", 1.0), ("b", 1.5)):
        (tmp_path / name).mkdir()
        table = cost()
        table["cpu_seconds"] *= factor
        table.to_parquet(tmp_path / name / "cost.parquet")
    costs = tables(build(tmp_path / "a", tmp_path / "b"))["costs"]
    mine = costs[costs["quantity"] == "cpu_seconds"]
    assert len(mine) == 12 and mine["ratio"].to_numpy() == pytest.approx(1.5)
    assert set(mine["weight"]) == {"too few pairs"}


def test_runs_of_nothing_in_common_are_refused(tmp_path):
    with pytest.raises(BadInput, match="no record and no measurement in common"):
        compared(tmp_path, [HELD], [replace(HELD, problem="another")])


def test_sign_test_and_its_smallest_sample():
    assert sign_test([0.1] * 6) == pytest.approx(2 / 2**6)
    assert sign_test([0.1, -0.1] * 5) == 1.0
    assert math.isnan(sign_test([0.1] * 5)), "2 / 2^5 is above 0.05: nothing could be significant"
    assert math.isnan(sign_test([0.0] * 50))


@pytest.mark.parametrize("n", [6, 9, 20, 101])
def test_the_interval_of_the_median_covers_it(n):
    """Its coverage is 95 % or more, for any distribution; 2000 samples of a skewed one."""
    rng = np.random.default_rng(n)
    inside = 0
    for _ in range(2000):
        low, high = interval(rng.exponential(size=n) - math.log(2))
        inside += low <= 0 <= high
    assert inside / 2000 > 0.935  # three standard errors below 0.95


def test_too_few_values_have_no_interval():
    assert all(map(math.isnan, interval([1.0, 2.0, 3.0, 4.0, 5.0])))


def test_holm_by_hand():
    got = holm([0.01, math.nan, 0.04, 0.03])
    assert got[0] == pytest.approx(0.03) and got[3] == pytest.approx(0.06) and got[2] == pytest.approx(0.06)
    assert math.isnan(got[1])
