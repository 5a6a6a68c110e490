"""What numbers of options become, and which are refused."""

from __future__ import annotations

import pytest

from odecheck.commands.numbers import rates, seeds, whole
from odecheck.errors import BadInput


@pytest.mark.parametrize(
    ("given", "expected"), [("3", [0, 1, 2]), ("0,3,7", [0, 3, 7]), ("10-12", [10, 11, 12]), ("7-7", [7])]
)
def test_seeds(given, expected) -> None:
    assert seeds(given) == expected


@pytest.mark.parametrize("given", ["0", "-3", "1.5", "a", "", "10-", "-10", "12-10", "0-99999", "1-2-3", "5-6,7"])
def test_what_are_no_seeds(given) -> None:
    with pytest.raises(BadInput, match="--seeds"):
        seeds(given)


def test_looks_are_whole_and_rates_positive() -> None:
    assert whole("--looks", "5,8") == [5, 8] and rates(None) == [] and rates("0.1,1e-3") == [0.1, 1e-3]
    with pytest.raises(BadInput, match="not whole"):
        whole("--looks", "5,8.5")
    with pytest.raises(BadInput, match="--rate has 0"):
        rates("0.1,0")
