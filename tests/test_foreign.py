"""Text of other people is data wherever it goes."""

import io
import tokenize

import pytest

from odecheck.foreign import comment, for_terminal, literal, one_line, raised_where, said, words


class Raises(Exception):
    def __str__(self):
        raise SystemExit(0)

    __repr__ = __str__


class NoText:
    def __str__(self):
        return 3  # type: ignore[return-value]


class Shouts(str):
    def __str__(self):
        return self

    def encode(self, *_):
        raise RuntimeError("not asked")


def test_anything_has_words():
    assert words(Raises()) == "a Raises whose text raises SystemExit" == said(Raises()).partition(": ")[2]
    assert words(NoText()) == "a NoText whose text raises TypeError" and words(None) == "None"
    assert words("half \ud800") == "half ?" and type(words(Shouts("loud"))) is str
    assert words("x" * 30, 10) == "x" * 10 + " … (30 characters in all)"
    assert said(ValueError()) == "ValueError" and said(ValueError("a\nb")) == "ValueError: a\nb"
    assert literal("a\nb") == "'a\\nb'" and literal(Raises()) == "<a Raises whose repr raises SystemExit>"


def test_no_control_sequence_reaches_a_terminal():
    hostile = "title \x1b]0;x\x07 copy \x1b]52;c;eA==\x1b\\ up \x1b[2A back\r over \x9b31m \u202e right, "
    hostile += "é 漢 kept\n\tand this"
    shown = for_terminal(hostile)
    assert shown.replace("\n", "").replace("\t", "").isprintable() and r"\x1b]0;x\x07" in shown
    assert shown.endswith("é 漢 kept\n\tand this") and for_terminal(Raises()).startswith("a Raises")
    assert one_line(hostile, 12) == r"title \x1b]…" and "\n" not in one_line(hostile)


@pytest.mark.parametrize(
    "hostile",
    [
        "1.0\nimport os",
        "1.0\rimport os",
        "1.0\x0cimport os",
        "1.0\u2028import os",
        "coding: utf-7 +AAo-import os",
        "CODING=x",
    ],
)
def test_a_comment_ends_with_its_line_and_says_nothing_of_the_file(hostile):
    source = f"# {comment(hostile)}\nx = 1\n".encode()
    tokens = [t.type for t in tokenize.tokenize(io.BytesIO(source).readline)]
    assert tokens.count(tokenize.COMMENT) == 1 and tokens.count(tokenize.NAME) == 1
    assert tokenize.detect_encoding(io.BytesIO(source).readline)[0] == "utf-8"


def _raising(limit: int) -> Exception:
    try:
        if limit < 3:
            raise ValueError("too \x1b[2A many")
        raise LookupError
    except Exception as error:
        return error


def test_what_was_raised_is_told_with_its_line_and_the_condition_above_it():
    told = raised_where(_raising(2))
    assert told.startswith(r"ValueError: too \x1b[2A many, in test_foreign.py, line ") and told.endswith(
        ": if limit < 3"
    )
    assert raised_where(_raising(3)).endswith(": raise LookupError")
    assert raised_where(ValueError("never raised")) == "ValueError: never raised"
