"""The studies see what they are made to see; the committed tables are theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from odecheck.solvers import Adaptive, FixedStep
from odecheck.studies import spectrum, stability

REPORTS = Path(__file__).parents[2] / "reports"
PAPER, CODE = "AdamNODE, √(v + 0.1)", "AdamNODE, √softplus(v) + 0.001"


def found(model: str, solver: object) -> dict[tuple[str, str], stability.Finding]:
    return {(f.inner, f.what): f for f in stability.study([model], [solver], seeds=1)}  # type: ignore[list-item]


def test_the_adjoint_of_an_adam_ode_is_lost_at_the_boundary_of_its_root() -> None:
    """At rtol 1e-5 the solution is right and so are the derivatives of its steps; the adjoint finds v < −ε."""
    here = found(PAPER, Adaptive("dopri5", rtol=1e-5, atol=1e-5))
    assert here["tanh network", "solution"].outcome == 0
    assert here["tanh network", "gradient through the steps"].outcome == 0
    adjoint = here["tanh network", "gradient by adjoint"]
    assert adjoint.failed == 1 and adjoint.smallest_v < -0.1


def test_the_softplus_of_the_code_can_be_evaluated_anywhere() -> None:
    here = found(CODE, Adaptive("dopri5", rtol=1e-5, atol=1e-5))
    assert all(f.failed == 0 for f in here.values())


def test_a_long_step_makes_v_negative() -> None:
    """Euler's v + k α2 (f² − v) is negative for k α2 > 1 wherever f is small: here k α2 = 1.5."""
    here = found(CODE, FixedStep("euler", 2.0))
    assert min(f.smallest_v for f in here.values()) < 0
    assert max(f.outcome for f in here.values()) >= 2


def test_a_heavy_ball_has_no_v_to_lose() -> None:
    assert all(np.isnan(f.smallest_v) and f.failed == 0 for f in found("HBNODE", FixedStep("rk4", 0.25)).values())


def test_gradients_vanish_in_a_node_and_not_in_a_heavy_ball() -> None:
    runs = {model: spectrum.horizon(model, 0, end=8.0, points=9) for model in spectrum.MODELS}
    for run in runs.values():
        assert run.norms[0] == pytest.approx(1.0) and run.back[0] == 0.0
    assert (runs["NODE"].eigenvalues.real <= 1e-12).all()
    pairs = runs["HBNODE"].eigenvalues.sum(axis=1)
    np.testing.assert_allclose(pairs, -2 * spectrum.GAMMA, atol=1e-9)  # d = 2 pairs
    assert runs["HBNODE"].norms[-1] > 10 * runs["NODE"].norms[-1]


def test_tables_are_made_of_findings() -> None:
    table = stability.to_markdown([stability.Finding("M", "f", "s", "solution", 4, 1, 2, -0.5, 3.0, "underflow in dt")])
    assert "| M | f | s | solution | no result (underflow in dt) | 1 of 2 | -0.5 | 3 |" in table
    assert "| NODE | 1 | " in spectrum.to_markdown([spectrum.horizon("NODE", 0, end=1.0, points=5)])


@pytest.mark.parametrize("name", ["stability", "spectrum"])
def test_a_report_and_its_picture_are_there(name: str, tmp_path: Path) -> None:
    assert f"({name}.png)" in (REPORTS / f"{name}.md").read_text(encoding="utf-8")
    assert (REPORTS / f"{name}.png").stat().st_size > 10_000


def test_pictures_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    spectrum.picture(spectrum.study(seeds=1, end=1.0), tmp_path / "spectrum.png")
    finding = stability.Finding("M", "f", "s", "solution", 1, 0, 2, -0.5, 3.0, "")
    stability.picture([finding], tmp_path / "stability.png")
    assert len(list(tmp_path.iterdir())) == 2
