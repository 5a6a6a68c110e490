"""A group-sequential design: when is looked at pairs of trainings, and how much of α each look may spend.

A comparison is of a model and its rival over seeds i = 1, 2, …, which give log ratios r_i, independent and normal with
mean μ and unknown spread. It is looked at after n_1 < n_2 < … < n_K of them, and ends at the first look that decides
it. At look k the interval is Student's,

    r̄ ± t(1 − α_k, n_k − 1) s / √n_k,       α_k = α (n_k / n_K)^ρ − α (n_{k−1} / n_K)^ρ,

with the spending function of Kim and DeMets (Biometrika 74, 1987; ρ = 2). Each end of the interval of look k is wrong
with probability α_k exactly. Whatever the joint distribution of the looks, an end is wrong at one of them at least with
probability Σ α_k = α at most (Bonferroni): these are repeated confidence intervals (Jennison and Turnbull, Group
Sequential Methods, 2000, chapter 9), and whoever stops at a look that pleases has no other error than who does not. A
boundary by the joint distribution of z statistics would be narrower by some per cent, and not exact for the few pairs
that trainings have. A test at α after every pair from the third to the eighteenth is wrong 3.6 times as often as it
says. What is exact for normal log ratios is careful for heavy tails (Student's t with three degrees of freedom: .033
in the place of .05), and is not for a strong skew (an exponential distribution: .16 at the end without the tail).

From the interval of a look:

    no difference   it lies within ± log of the margin of equivalence: two one-sided tests (Schuirmann 1987), each at
                    α_k, so that it is said wrongly with probability α at most where μ is outside of the margin;
    holds           its upper end is below 0, and the subject has less;
    refuted         its lower end is 0 or above;
    otherwise the next look, and after the last one: inconclusive.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

from scipy import optimize, stats  # pyright: ignore[reportMissingTypeStubs]

from odecheck.errors import BadInput

NO_DIFFERENCE = "no difference"  # a verdict of trainings alone: an interval within the margin of equivalence
ALPHA = 0.05
FEWEST = 3  # pairs
SPENDING = 2.0  # ρ: with 1 every pair spends as much, with more the first looks spend less
FIRST, GROWTH = 5, 1.5  # of the looks that are taken where none are asked for


@dataclass(frozen=True)
class Design:
    """When is looked, at which seeds, and how much is spent: fixed before a run begins, in its facts.

    Attributes:
        claims: ids of the claims that are decided, in this order.
        seeds: in the order in which they are trained; the largest number of pairs is how many there are.
        looks: numbers of pairs at which is looked, rising, the last one all seeds.
        alike: "claim: quantity" → the margin of equivalence, a ratio above 1; 1: none. Others are not compared.
        alpha: the probability of a wrong verdict of either kind, for all comparisons of a model together.
        spending: the exponent ρ.

    Raises:
        BadInput: looks that do not rise from three pairs to all seeds, or seeds twice.
    """

    claims: tuple[str, ...]
    seeds: tuple[int, ...]
    looks: tuple[int, ...]
    alike: Mapping[str, float]
    alpha: float = ALPHA
    spending: float = SPENDING

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in pairwise(self.looks))
        fits = bool(self.looks) and self.looks[0] >= FEWEST and self.looks[-1] == len(self.seeds)
        if not (rising and fits) or len(set(self.seeds)) < len(self.seeds):
            raise BadInput(
                f"{len(self.seeds)} seeds are looked at after {', '.join(map(str, self.looks)) or 'none'}",
                f"looks that do not rise from {FEWEST} or more to all seeds, or a seed that is named twice",
                "--seeds 18 --looks 5,8,12,18",
            )

    @property
    def levels(self) -> tuple[float, ...]:
        """α_k of each look; their sum is α."""
        spent = [self.alpha * (n / self.looks[-1]) ** self.spending for n in (0, *self.looks)]
        return tuple(b - a for a, b in pairwise(spent))

    def effect(self, comparisons: int = 1, power: float = 0.9) -> float:
        """The mean log ratio, in units of its spread, that the last look finds with probability `power`.

        With such a one the whole design says "holds" at least as often, up to α: earlier looks only add to it.

        Args:
            comparisons: among which this is one.
            power: between 0 and 1.

        Returns:
            d with P(T > t(1 − α_K / comparisons, n − 1)) = power, T of the noncentral t distribution with n − 1
            degrees of freedom and noncentrality d √n.
        """
        n, level = self.looks[-1], self.levels[-1] / comparisons
        bar, noncentral, root = quantile(level, n), cast(Any, stats).nct, cast(Any, optimize).brentq

        def missing(d: float) -> float:
            return float(noncentral.sf(bar, n - 1, d * math.sqrt(n))) - power

        return float(root(missing, 0.0, 50.0))

    def facts(self) -> dict[str, Any]:
        """What run.json says of it."""
        return json.loads(json.dumps(asdict(replace(self, alike=dict(self.alike)))))

    @classmethod
    def of(cls, facts: Mapping[str, Any] | None) -> Design | None:
        """The design of a run, from what run.json says; None where it has none."""
        said: Any = (facts or {}).get("cases", {}).get("design")
        if said is None:
            return None
        known: dict[str, Any] = {**said, **{name: tuple(said[name]) for name in ("claims", "seeds", "looks")}}
        return cls(**known)


@lru_cache(maxsize=4096)
def quantile(level: float, n: int) -> float:
    """Student's t that n pairs exceed with probability `level`; cached, as it is slow."""
    student: Any = stats.t
    return float(student.ppf(1 - level, n - 1))


def looks_of(count: int) -> tuple[int, ...]:
    """Looks that grow by half from five on, to `count` pairs.

    Args:
        count: the largest number of pairs.

    Returns:
        For 18: 5, 8, 12, 18.
    """
    found: list[int] = []
    n = FIRST
    while n * math.sqrt(GROWTH) < count:
        found.append(n)
        n = math.ceil(n * GROWTH)
    return (*found, count)
