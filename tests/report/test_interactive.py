"""Figures and tables as the page's script takes them."""

import math

import pytest

from odecheck.report import interactive
from odecheck.report.text import Explorer, Table
from tests.report.figures import figures_of


def test_plotly_knows_everything_that_figures_are_made_of(whole):
    graph = pytest.importorskip("plotly.graph_objects")
    drawn = [panel for f in figures_of(whole) if not isinstance(f, Explorer) for panel in interactive.figures(f)]
    assert len(drawn) >= 12
    for panel in drawn:
        graph.Figure(data=panel["data"], layout=panel["layout"])  # raises for a property that plotly does not have


def test_numbers_of_the_page_are_those_of_the_table(whole):
    table = next(b for s in whole.sections for b in s.blocks if isinstance(b, Table) and b.id == "records")
    sent = interactive.rows(table)
    nfe = next(c for c in sent["columns"] if c["name"] == "nfe")["values"]
    assert nfe == list(table.frame["nfe"])
    words = next(c for c in sent["columns"] if c["name"] == "claim")
    assert [words["words"][i] for i in words["values"]] == list(table.frame["claim"])


def test_what_json_has_no_words_for_is_said() -> None:
    assert interactive.plain({1: [math.inf, -math.inf, math.nan, 1.5]}) == {"1": ["Infinity", "-Infinity", None, 1.5]}


def test_names_are_told_apart_by_colour_dash_or_symbol() -> None:
    looks = [interactive.look(n) for n in range(32)]
    assert len({look[:2] for look in looks}) == 32
