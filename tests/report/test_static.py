"""Figures as SVG and PNG."""

from xml.etree import ElementTree

import pytest

from odecheck.report import build, static
from odecheck.report.markdown import to_markdown
from odecheck.report.text import Explorer
from tests.report.figures import figures_of
from tests.report_runs import cost


def test_figures_are_drawn_as_svg_and_png(whole, tmp_path):
    mpl = pytest.importorskip("matplotlib.image")
    drawn = static.write(whole, tmp_path / "figures", beside=tmp_path)
    assert set(drawn) == {f.id for f in figures_of(whole)}
    for name, path in drawn.items():
        assert ElementTree.parse(tmp_path / path).getroot().tag.endswith("svg")
        assert mpl.imread(tmp_path / "figures" / f"{name}.png")[..., :3].std() > 0.02, name
    text = to_markdown(whole, drawn)
    assert all(f"](figures/{name}.svg)" in text for name in drawn)


def test_an_explorer_joins_what_is_one_method_of_one_engine(whole):
    explorer = next(b for s in whole.sections for b in s.blocks if isinstance(b, Explorer) and "gradient" in b.id)
    chart = static.default_chart(explorer)
    series = chart.panels[0].series
    assert len(series) == 4  # two engines, two methods
    assert all(list(s.y) == sorted(s.y, reverse=True) and len(s.y) == 3 for s in series)


def test_ticks_of_logarithmic_axes_are_numbers(tmp_path):
    (tmp_path / "c").mkdir()
    cost().to_parquet(tmp_path / "c" / "cost.parquet")
    drawn = static.write(build([tmp_path / "c"]), tmp_path / "f", beside=tmp_path)
    text = (tmp_path / drawn["work-precision-1-solution"]).read_text()
    assert "mathdefault" not in text and "1e−05" in text
