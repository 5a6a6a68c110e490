"""odecheck cost: numbers that mean nothing, libraries that are not here, figures, exit status."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from odecheck.cost import precision
from odecheck.cost import presets as shipped
from odecheck.errors import BadInput
from odecheck.report import cost_page as page
from tests.commands.typed import refused, run
from tests.cost.asked import COST


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--rungs", "0"), ("--rungs", "-1"), ("--repeat", "-1"), ("--error", "0"), ("--error", "-1"), ("--error", "nan")],
)
def test_numbers_that_mean_nothing_are_refused(option, value):
    status, output = run(*COST, option, value)
    assert status == 2 and not Path("c1").exists() and option in output


def test_a_library_that_is_not_here_is_left_out_and_said_once(monkeypatch):
    monkeypatch.setattr(shipped, "missing", lambda: ("torchode", "diffrax"))
    asked = []

    def measured(subjects, problem, quantities, **_options):
        asked.extend(one.engine.name for one in subjects)
        return [precision.row(one, problem, quantities[0], None, 1.0) for one in subjects]

    monkeypatch.setattr("odecheck.cost.work_precision", measured)
    status, output = run("cost", "--quantity", "solution", "--rungs", "1", "--repeat", "0")
    assert status == 0 and output.count('torchode is not installed: pip install "odecheck[peers]"') == 1
    assert asked and not [name for name in asked if name.startswith(("torchode", "diffrax"))]
    assert "odecheck[peers]" in refused("torchode is not installed", "cost", "--subject", "torchode")


def test_where_every_row_failed_the_status_is_1(monkeypatch):
    def failed(subjects, problem, quantities, **_options):
        return [precision.row(one, problem, quantities[0], None, 1.0, state="failed", message="no") for one in subjects]

    monkeypatch.setattr("odecheck.cost.work_precision", failed)
    assert run(*COST)[0] == 1


def test_figures_are_asked_for_before_anything_is_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "odecheck[figures]" in refused("matplotlib is not installed", *COST, "--write", "out")
    assert not list(Path().iterdir())
    with pytest.raises(BadInput, match="matplotlib"):
        page.write([], Path("out"), 1e-6, {})
    assert not Path("out").exists()


def test_only_what_was_asked_for_is_named():
    refused("nothing has a problem with 'xyz' in its name", "cost", "--problem", "xyz")
