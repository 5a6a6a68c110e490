"""Gradients over long horizons, and the eigenvalues that explain them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from odecheck.studies import spectrum

REPORTS = Path(__file__).parents[2] / "reports"


def test_gradients_vanish_in_a_node_and_not_in_a_heavy_ball() -> None:
    runs = {model: spectrum.horizon(model, 0, end=8.0, points=9) for model in spectrum.MODELS}
    for run in runs.values():
        assert run.norms[0] == pytest.approx(1.0) and run.back[0] == 0.0
    assert (runs["NODE"].eigenvalues.real <= 1e-12).all()
    pairs = runs["HBNODE"].eigenvalues.sum(axis=1)
    np.testing.assert_allclose(pairs, -2 * spectrum.GAMMA, atol=1e-9)  # d = 2 pairs
    assert runs["HBNODE"].norms[-1] > 10 * runs["NODE"].norms[-1]


def test_the_table_is_made_of_horizons() -> None:
    assert "| NODE | 1 | " in spectrum.to_markdown([spectrum.horizon("NODE", 0, end=1.0, points=5)])


def test_the_report_and_its_picture_are_there() -> None:
    assert "(spectrum.png)" in (REPORTS / "spectrum.md").read_text(encoding="utf-8")
    assert (REPORTS / "spectrum.png").stat().st_size > 10_000


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    spectrum.picture(spectrum.study(seeds=1, end=1.0), tmp_path / "spectrum.png")
    assert (tmp_path / "spectrum.png").read_bytes()[:4] == b"\x89PNG"
