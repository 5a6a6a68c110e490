"""A watched step as text and as numbers for a log."""

from __future__ import annotations

from dataclasses import replace

from odecheck.watching.row import Finding, Quantity
from odecheck.watching.step import watch
from odecheck.watching.table import NAMES, table

from .mistakes import MISTAKES
from .right_models import MODELS
from .steps import stepped


def test_the_table_says_where_what_and_how_far():
    step = stepped(MODELS["classifier"])
    text = str(step)
    for word in ("right_models.py:", "Dense", "odeint_adjoint dopri5", "1e-04", "→", "±", "holds"):
        assert word in text
    assert "finding" not in text
    mistaken = str(stepped(MISTAKES["a_part_is_detached"][1]))
    assert "finding" in mistaken
    assert max(map(len, f"{text}\n{mistaken}".splitlines())) <= 100
    with watch() as nothing:
        pass
    assert "no ODE solve" in str(nothing)


def test_however_long_names_and_words_are_a_line_has_100_columns():
    (row,) = stepped(MODELS["classifier"]).rows
    row.quantities.update({name: Quantity(name, 1.2345e-100, 9e-100, used=123.0) for name in NAMES})
    said = [Finding("kind", "word " * 90)]
    long = replace(row, where="a/" * 80 + "train.py:1234", field="Field" * 30, said=said)
    shown = table([long, row]).splitlines()
    assert max(map(len, shown)) <= 100
    assert sum("train.py:1234" in line for line in shown) > 2 and any("dL/dt" in line for line in shown)


def test_many_solves_at_one_place_are_one_line():
    step = stepped(MODELS["ode_rnn"])
    assert len(step.rows) == 6
    assert "worst of 6" in str(step)


def test_numbers_for_a_log():
    scalars = stepped(MODELS["classifier"]).scalars("node/")
    assert scalars["node/solves"] == 1
    assert scalars["node/findings"] == 0
    assert 0 < scalars["node/error_dL_dtheta"] < 1e-2
