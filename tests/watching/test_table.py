"""A watched step as text and as numbers for a log."""

from __future__ import annotations

from odecheck.watching.step import watch

from .mistakes import MISTAKES
from .right_models import MODELS
from .steps import stepped


def test_the_table_says_where_what_and_how_far():
    step = stepped(MODELS["classifier"])
    text = str(step)
    for word in ("right_models.py:", "Dense", "odeint_adjoint dopri5", "1e-04", "→", "±", "holds"):
        assert word in text
    assert "finding" not in text
    assert "finding" in str(stepped(MISTAKES["a_part_is_detached"][1]))
    with watch() as nothing:
        pass
    assert "no ODE solve" in str(nothing)


def test_many_solves_at_one_place_are_one_line():
    step = stepped(MODELS["ode_rnn"])
    assert len(step.rows) == 6
    assert "worst of 6" in str(step)


def test_numbers_for_a_log():
    scalars = stepped(MODELS["classifier"]).scalars("node/")
    assert scalars["node/solves"] == 1
    assert scalars["node/findings"] == 0
    assert 0 < scalars["node/error_dL_dtheta"] < 1e-2
