"""A record that a file made strange is of its types again, and one that is right is itself."""

import json
import math
from dataclasses import replace

from odecheck.records.sound import sound
from tests.report_runs import ALL, FAILED


def test_a_right_record_is_itself():
    assert [repr(sound(record)) for record in ALL] == [repr(record) for record in ALL]


def test_what_is_no_number_is_nan_and_what_is_no_text_is_words():
    odd = {
        "observed": "x",
        "bar": 10**400,
        "nfe": None,
        "ok": 1,
        "message": ["\ud800"],
        "source": None,
        "budget": "[" * 99_999,
    }
    made = sound(replace(FAILED, **odd))
    assert math.isnan(made.observed) and math.isnan(made.bar) and math.isnan(made.nfe) and made.ok is True
    assert made.message == "['\\ud800']" and made.source == "" and made.budget == "{}"
    assert sound(replace(FAILED, budget=json.dumps({"a": "b"}))).largest_term == "a nan" and str(made)
