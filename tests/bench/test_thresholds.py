"""Thresholds of one's own: read from the project, refused where they are none or those of nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from odecheck.bench.thresholds import Thresholds, read
from odecheck.errors import BadInput

HEAD = "[tool.odecheck.regressions"


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_a_projects_own_are_found_by_regular_expressions(tmp_path):
    assert read(tmp_path).by_pattern == {} == read(project(tmp_path, "[project]\nname = 'x'")).by_pattern
    own = read(project(tmp_path, f"{HEAD}.thresholds]\n'time_.*' = 0.25\n'time_solve' = 1\n"))
    assert [own.of(name) for name in ("a.time_x", "a.time_solve(1)", "a.track_nfe")] == [0.25, 1.0, None]
    own.check(["a.time_solve(1)"], "pyproject.toml")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (f"{HEAD}.thresholds]\n'a(' = 0.1", "no regular expression"),
        (f"{HEAD}.thresholds]\na = '5 %'", "no share of 0 or more"),
        (f"{HEAD}.thresholds]\na = -0.1", "no share of 0 or more"),
        (f"{HEAD}.thresholds]\na = nan", "no share of 0 or more"),
        (f"{HEAD}.thresholds]\na = true", "no share of 0 or more"),
        (f"{HEAD}]\nthresholds = 0.1", "no table"),
        ("[tool]\nodecheck = 3", "no table"),
        ("not toml", "cannot be read"),
    ],
)
def test_what_is_no_threshold_is_refused_in_words(tmp_path, text, seen):
    with pytest.raises(BadInput, match=seen) as refused:
        read(project(tmp_path, text))
    assert "tool.odecheck.regressions.thresholds" in refused.value.fix


def test_a_threshold_of_nothing_is_refused():
    with pytest.raises(BadInput, match="that of no series"):
        Thresholds({"time_": 0.1, "gone": 0.1}).check(["a.time_solve"], "pyproject.toml")
