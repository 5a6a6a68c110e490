"""The crossed tables are large, name each wrong subject once, and a part of them is of float32."""

from __future__ import annotations

from collections import Counter

from odecheck.selftest.crossed_kinds import CROSSED
from odecheck.selftest.kinds import KINDS


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    names = Counter(f"{case.claim.id}: {m.name}" for kind in CROSSED for case in kind.cases() for m in kind.mutants)
    assert len(names) >= 350 and max(names.values()) == 1
    assert sum("float32" in name for name in names) >= 30


def test_the_families_are_those_of_the_table_of_kinds() -> None:
    assert {kind.family for kind in CROSSED} <= {kind.family for kind in KINDS}
