"""Subjects at the tolerance that somebody uses."""

from __future__ import annotations

import pytest

from odecheck.errors import BadInput
from odecheck.runner.targets import pairs


def test_every_adaptive_subject_gets_the_tolerance_and_fixed_steps_are_left_out():
    found = {subject.name for subject, _ in pairs(rtol=1e-3, atol=1e-5)}
    assert found and all("dopri5(rtol=0.001)" in name for name in found)
    assert {subject.solver.atol for subject, _ in pairs(rtol=1e-3, atol=1e-5)} == {1e-5}
    assert any("bosh3(rtol=0.001)" in subject.name for subject, _ in pairs(rtol=1e-3, method="bosh3"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"atol": 1e-3}, "--rtol 1e-3"),
        ({"rtol": -1.0}, "rtol=-1.0"),
        ({"rtol": 1e-3, "method": "rk4"}, "no adaptive method 'rk4'"),
    ],
)
def test_what_is_no_tolerance_is_refused(asked, said):
    with pytest.raises(BadInput) as refused:
        pairs(**asked)
    assert said in str(refused.value)
