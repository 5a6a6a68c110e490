"""The ledger says what its records say; the committed one is what comes out today."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from odecheck_reference import Bounded, Problem

from odecheck.claim import Claim, Condition, claim
from odecheck.claims import ALL
from odecheck.judge import Verdict
from odecheck.ledger import build as ledger
from odecheck.mutants.derivatives import scaled
from odecheck.record import evaluate
from odecheck.refinement import ladder
from odecheck.subject import Subject

REPORTS = Path(__file__).parents[2] / "reports"
COMMITTED = {row.claim: row for row in ledger.from_json((REPORTS / "ledger.json").read_text(encoding="utf-8"))}
# cheap problems that show both sides of every condition
CHEAP = ["heavy ball of width 1", "heavy ball, linear", "Adam, equal rates", "Adam, published rates", "Adam, undriven"]
FRESH = ("HB-1", "HB-2", "HB-4", "HB-4.1", "HB-5", "HB-7", "ADAM-1", "ADAM-4", "ADAM-5", "ADAM-6")


@pytest.fixture(scope="module")
def fresh() -> dict[str, ledger.Row]:
    claims = [c for c in ALL if c.id in FRESH]
    return {row.claim: row for row in ledger.build(claims, workers=1, families=CHEAP)}


@pytest.mark.parametrize("id", FRESH)
def test_the_committed_verdict_is_todays(fresh: dict[str, ledger.Row], id: str) -> None:
    assert fresh[id].verdict == COMMITTED[id].verdict
    assert fresh[id].statement == COMMITTED[id].statement


def test_every_claim_has_a_row_and_every_row_a_claim() -> None:
    assert {c.id for c in ALL if c.family.id in ledger.papers()} <= set(COMMITTED)
    assert set(COMMITTED) - {c.id for c in ALL} <= set(ledger.BENCHMARKS)


def test_a_judged_row_has_problems_enough_and_says_what_it_could_hide() -> None:
    for row in COMMITTED.values():
        if row.claim in ledger.BENCHMARKS:
            continue  # those have intervals, in training.md
        if row.verdict in (Verdict.HOLDS, ledger.CONDITIONAL):
            assert row.problems >= 5, row
            assert row.resolved is not None and row.resolution is not None and row.resolved <= row.resolution, row
        if row.verdict in (Verdict.REFUTED, ledger.CONDITIONAL):
            assert row.gap and row.counter_example, row


def test_nothing_that_was_not_looked_at_is_called_true() -> None:
    for row in ledger.build([], families=[]):
        assert row.verdict == Verdict.NOT_APPLICABLE
    for id in ledger.BENCHMARKS:
        row = COMMITTED[id]
        # trainings at other figures than the paper's are told of, and are no verdict on its sentence
        assert (row.verdict == Verdict.NOT_APPLICABLE) == ("no training kept" in row.note), row


def test_benchmark_claims_are_what_the_kept_trainings_say(tmp_path: Path) -> None:
    """Written again from the committed tables, the ledger is the committed one."""
    shutil.copytree(REPORTS / "training", tmp_path / "training")
    ledger.write(list(COMMITTED.values()), tmp_path)
    assert ledger.from_json((tmp_path / "ledger.json").read_text(encoding="utf-8")) == list(COMMITTED.values())


def test_the_committed_table_is_that_of_the_committed_rows() -> None:
    assert (REPORTS / "ledger.md").read_text(encoding="utf-8") == ledger.to_markdown(list(COMMITTED.values()))


@claim(
    "HB-99",
    source="nowhere",
    resolution=1e-3,
    mutants=[scaled("y0", 2.0)],
    when=Condition("its first number is positive", lambda problem: problem.y0[0, 0] > 0),
    predicted=lambda _, problem: Bounded(problem.y0[0, 0]),
)
def _first_is_positive(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The solution starts at the absolute value of where it starts."""
    start = abs(problem.y0[0, 0])
    return ladder(subject, lambda s: s.solution(problem)[0, 0, 0]), Bounded(start)


def _records(signs: tuple[int, ...], one: Claim):
    problem = ledger.draw("heavy ball of width 1")
    ones = [problem.with_(y0=0 * problem.y0 + sign) for sign in signs]
    return [evaluate(one, ledger.SUBJECT, p) for p in ones]


def test_a_verdict_is_made_of_records() -> None:
    both, only = _records((1, -1), _first_is_positive), _records((1,), _first_is_positive)
    assert ledger._verdict(_first_is_positive, both) == ledger.CONDITIONAL
    assert ledger._verdict(_first_is_positive, only) == Verdict.HOLDS
    assert ledger._verdict(_first_is_positive, []) == Verdict.NOT_APPLICABLE
    literal = replace(_first_is_positive, expect=Verdict.REFUTED)
    assert ledger._verdict(literal, both) == Verdict.REFUTED
    wrong_side = [replace(r, verdict=Verdict.REFUTED) for r in both]
    assert ledger._verdict(_first_is_positive, wrong_side) == Verdict.REFUTED
    unsure = [replace(both[0], verdict=Verdict.INCONCLUSIVE), both[1]]
    assert ledger._verdict(_first_is_positive, unsure) == Verdict.INCONCLUSIVE


def test_a_counter_example_stays_one_while_it_is_made_plain() -> None:
    hb4 = next(c for c in ALL if c.id == "HB-4")
    records = [evaluate(hb4, ledger.SUBJECT, ledger.draw(name)) for name in ("heavy ball", "heavy ball of width 1")]
    problem, record = ledger.smallest(hb4, records)
    assert record.verdict == Verdict.REFUTED
    assert problem.field.state == 2 and "y0 = " in ledger.typed(problem)


def test_the_mildest_word_for_a_mixed_verdict_names_its_condition() -> None:
    row = ledger.Row("HB-4", "s", "p", str(Verdict.REFUTED), "J is constant", 2, 1, 1, gap=1.0, counter_example="x")
    assert "| **refuted**; true where J is constant |" in ledger.to_markdown([row])
    assert ledger.from_json(ledger.to_json([row])) == [row]
