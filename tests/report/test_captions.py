"""What a caption says, and what it says was not drawn."""

import math
import re
from dataclasses import replace

import pandas as pd

from odecheck.report import build
from odecheck.report.captions import caption
from odecheck.report.text import Axis, Caption, Chart, Panel, Series
from tests.report.figures import figures_of
from tests.report_runs import HELD, run


def test_every_figure_says_what_to_see_units_n_and_how_to_make_it_again(whole):
    found = figures_of(whole)
    assert len({f.id for f in found}) == len(found) >= 12
    for figure in found:
        words = caption(figure)
        assert all(part in words for part in ("Units: ", "n = ", "Made again by: ")), figure.id
        assert re.search(r"n = \d", words), figure.id


def test_a_gap_of_zero_is_said_not_to_be_drawn(tmp_path):
    report = build([run(tmp_path / "r", [HELD, replace(HELD, problem="other", score=0.0, resolved=math.inf)])])
    chart = next(f for f in figures_of(report) if f.id == "margins")
    assert "Not drawn: 1 points that are not finite" in caption(chart)
    assert pd.notna(chart.panels[0].series[0].y).all()


def test_points_that_a_logarithmic_axis_cannot_show_are_counted() -> None:
    series = Series("s", x=(1.0, 0.0, 2.0, math.nan), y=(1.0, 1.0, -1.0, 1.0))
    told = Caption("see", "none", "4", "nothing")

    def lost(log: bool) -> str:
        return caption(Chart("c", "C", told, (Panel("", Axis("x", log), Axis("y", log), (series,)),)))

    assert "Not drawn: 3 points" in lost(True) and "Not drawn: 1 points" in lost(False)
    fine = Chart("c", "C", told, (Panel("", Axis("x"), Axis("y"), (Series("s", ("a",), (1.0,)),)),))
    assert caption(fine) == str(told)
