"""Mutants have names of their own, and each is named by a claim."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from odecheck.claim import Mutant
from odecheck.mutants.base import SCALED_FIELD, scaled
from odecheck.selftest import battery, named


def claim(*mutants: Mutant) -> Any:
    return replace(battery.CLAIMS[0], mutants=mutants)


def test_names_of_the_mutants_that_ship():
    named.check(battery.CLAIMS)
    assert len(named.by_name(battery.CLAIMS)) > 100


def test_a_mutant_that_is_made_anew_for_another_claim_is_the_same():
    assert len(named.by_name([claim(scaled("y0", 1.0002)), claim(scaled("y0", 1.0002))])) == 1
    assert len(named.by_name([claim(scaled("y0", 1 + 1e-6)), claim(scaled("y0", 1 + 1e-7))])) == 2


@pytest.mark.parametrize(
    "other",
    [
        replace(scaled("y0", 1.0003), name="d/dy0 times 1.0002"),
        replace(scaled("theta", 1.0002), name="d/dy0 times 1.0002"),
        replace(SCALED_FIELD, name="d/dy0 times 1.0002"),
    ],
)
def test_two_mutants_of_one_name_are_said(other):
    with pytest.raises(ValueError, match=r"two mutants are called 'd/dy0 times 1\.0002'.*\n.*\n  what to type: "):
        named.by_name([claim(scaled("y0", 1.0002)), claim(other)])


def test_a_mutant_that_no_claim_names_is_said():
    new: Any = ModuleType("odecheck.mutants.new")
    new.IDLE, new.MANY = scaled("y0", 2.0), (SCALED_FIELD, scaled("y0", 3.0))
    idle, third = named.unnamed(battery.CLAIMS, [new])
    assert "no claim names the mutant odecheck.mutants.new.IDLE ('d/dy0 times 2')" in idle
    assert "what to type: mutants=[..., IDLE]" in idle and "new.MANY ('d/dy0 times 3')" in third
    without = [claim(SCALED_FIELD)]
    with pytest.raises(ValueError, match="no claim names the mutant"):
        named.check(without)
