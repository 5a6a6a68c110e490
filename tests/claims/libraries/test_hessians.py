"""What a route to a Hessian lost is named by its shares."""

from __future__ import annotations

import pytest

from odecheck.claims.libraries.hessians import in_start
from odecheck.problem_sets.conformance import problems


def test_shares_name_what_a_route_lost() -> None:
    """All zero is (0, 0, 0), the first-order part alone (0, 1, 0)."""
    parts = in_start(problems("HES-2")[0])
    assert parts.shares(0 * parts.first) == pytest.approx([0, 0, 0])
    assert parts.shares(parts.first) == pytest.approx([0, 1, 0], abs=1e-9)
    assert parts.shares(parts.first + parts.second) == pytest.approx([1, 1, 0], abs=1e-9)
