import pytest

from odecheck.field_values.answers import CAUSES, OTHER_ROWS, ROUNDING, ROWS, Answer


@pytest.mark.parametrize("question", CAUSES)
def test_an_answer_is_off_beyond_its_bar_and_where_it_is_no_number(question):
    bar = ROWS if question in OTHER_ROWS else ROUNDING
    assert Answer(question, bar, 0.0).bar == bar and not Answer(question, bar, 0.0).off
    assert Answer(question, 2 * bar, 0.0).off and Answer(question, float("nan"), 0.0).off


def test_every_question_of_other_rows_has_a_cause():
    assert set(OTHER_ROWS) <= set(CAUSES)
