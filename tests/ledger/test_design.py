"""A design says what it says as often as it says: by simulation, beside the test that looks whenever it likes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from odecheck.errors import BadInput
from odecheck.judge import Verdict
from odecheck.ledger.design import NO_DIFFERENCE, Design, looks_of
from odecheck.ledger.training_claims import Comparison, compared, ended, followed

SEEDS = tuple(range(10, 28))
ALIKE = {"HB-9: forward NFE": 1.1, "HB-9: backward NFE": 1.1}
DESIGN = Design(("HB-9",), SEEDS, (5, 8, 12, 18), ALIKE)
RUNS = 2000
ONE = dict.fromkeys(SEEDS, 1.0)


def verdicts(mean: float, *, alike: float = 1.0, comparisons: int = 1, design: Design = DESIGN) -> dict[str, float]:
    """How often each verdict comes out: log ratios of this mean, of spread 1 and normal."""
    rng = np.random.default_rng(0)
    found: dict[str, float] = {}
    for r in mean + rng.standard_normal((RUNS, len(SEEDS))):
        mine = {seed: math.exp(x) for seed, x in zip(SEEDS, r, strict=True)}
        said = followed(mine, ONE, design, comparisons, alike=alike).verdict
        found[said] = found.get(said, 0.0) + 1 / RUNS
    return found


def by_chance(rate: float) -> float:
    """What a share of this expectation may come to, of the simulated runs: four standard deviations more."""
    return rate + 4 * math.sqrt(rate * (1 - rate) / RUNS)


def test_equal_models_differ_as_seldom_as_alpha() -> None:
    """Each of two ends is wrong with probability 0.05 at most, over all four looks."""
    said = verdicts(0.0)
    assert said.get(Verdict.HOLDS, 0.0) <= by_chance(DESIGN.alpha)
    assert said.get(Verdict.REFUTED, 0.0) <= by_chance(DESIGN.alpha)
    assert min(said[Verdict.HOLDS], said[Verdict.REFUTED]) > DESIGN.alpha / 3  # and α is spent, not given away


def naive(mine: dict[int, float]) -> str:
    """The mutant: a t test at α after every pair, until it says what one wants to hear."""
    for n in range(3, len(SEEDS) + 1):
        one = compared({seed: mine[seed] for seed in SEEDS[:n]}, ONE)
        if one.verdict != Verdict.INCONCLUSIVE:
            return one.verdict
    return Verdict.INCONCLUSIVE


def test_looking_whenever_one_likes_at_alpha_is_refuted_by_the_same_simulation() -> None:
    rng = np.random.default_rng(0)
    said = [
        naive({seed: math.exp(x) for seed, x in zip(SEEDS, r, strict=True)})
        for r in rng.standard_normal((RUNS // 4, len(SEEDS)))
    ]
    wrong = said.count(Verdict.HOLDS) / len(said)
    assert wrong > 2 * by_chance(DESIGN.alpha)


@pytest.mark.parametrize("comparisons", [1, 6])
def test_the_planned_effect_is_found_as_often_as_planned(comparisons) -> None:
    d = DESIGN.effect(comparisons, power=0.8)
    said = verdicts(-d, comparisons=comparisons)
    assert said[Verdict.HOLDS] >= 0.8 - 4 * math.sqrt(0.8 * 0.2 / RUNS)
    assert said.get(Verdict.REFUTED, 0.0) < 0.01
    assert verdicts(d, comparisons=comparisons)[Verdict.REFUTED] >= 0.8 - 4 * math.sqrt(0.8 * 0.2 / RUNS)


def test_no_difference_is_said_of_what_is_the_same_and_seldom_of_what_is_not() -> None:
    alike = math.exp(1.2)
    assert verdicts(0.0, alike=alike)[NO_DIFFERENCE] > 0.9
    for edge in (-1.2, 1.2):
        assert verdicts(edge, alike=alike).get(NO_DIFFERENCE, 0.0) <= by_chance(DESIGN.alpha)
    assert NO_DIFFERENCE not in verdicts(0.0, alike=1.0)


def test_a_comparison_ends_at_the_first_look_that_decides_and_waits_where_pairs_are_missing() -> None:
    clear = {seed: 0.5 * math.exp(0.01 * (seed % 3)) for seed in SEEDS}
    first = followed(clear, ONE, DESIGN)
    assert (first.n, first.verdict, first.note) == (5, Verdict.HOLDS, "look 1 of 4") and ended(first)
    few = followed({seed: clear[seed] for seed in SEEDS[:4]}, ONE, DESIGN)
    assert few.note == "not ended: 0 of 4 looks" and few.verdict == Verdict.INCONCLUSIVE and not ended(few)
    noise = {seed: 5.0 ** (-1) ** seed for seed in SEEDS}
    half = followed({seed: noise[seed] for seed in SEEDS[:9]}, ONE, DESIGN)
    assert half.note == "not ended: 2 of 4 looks" and not ended(half)
    last = followed(noise, ONE, DESIGN)
    assert (last.n, last.verdict) == (18, Verdict.INCONCLUSIVE) and ended(last)


def test_a_training_that_diverges_has_lost_its_pair_in_a_design_too() -> None:
    lost = {seed: math.nan if seed % 2 else 1.0 for seed in SEEDS}
    one: Comparison = followed(lost, ONE, DESIGN, alike=1.1)
    assert one.verdict != NO_DIFFERENCE and one.lost > 0


def test_alpha_is_spent_and_looks_grow() -> None:
    assert sum(DESIGN.levels) == pytest.approx(DESIGN.alpha) and len(DESIGN.levels) == 4
    assert [looks_of(n) for n in (3, 9, 18)] == [(3,), (5, 9), (5, 8, 12, 18)]
    assert Design.of({"cases": {"design": DESIGN.facts()}}) == DESIGN
    assert Design.of({"cases": {}}) is None and Design.of(None) is None


@pytest.mark.parametrize("looks", [(), (2, 18), (5, 5, 18), (5, 8), (5, 19)])
def test_looks_that_make_no_design_are_refused(looks) -> None:
    with pytest.raises(BadInput, match="--looks 5,8,12,18"):
        Design(("HB-9",), SEEDS, looks, ALIKE)


def test_a_seed_that_is_named_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="named twice"):
        Design(("HB-9",), (1, 2, 3, 3), (4,), ALIKE)
