"""Errors of adjoint derivatives on a small classifier: they fall with the tolerance, and a wrong derivative is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from odecheck.fields.layer import ADJOINT
from odecheck.solvers import Adaptive, FixedStep
from odecheck.studies import adjoint_errors as study

REPORTS = Path(__file__).parents[2] / "reports"
LOOSE, TIGHT = FixedStep("euler", 0.25), Adaptive("dopri5", rtol=1e-6)
ADAMS = FixedStep("implicit_adams", 0.25)


@pytest.fixture(scope="module")
def asked():
    """A classifier of three channels at its start, and the truth."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32)
    model, _, batch, _ = study.classifier(0, epochs=0, width=3)
    batch = tuple(part[:8] for part in batch)
    return model, batch, study.derivatives(model, batch, study.TRUTH)[0]


def off(asked, solver) -> dict[str, float]:
    model, batch, truth = asked
    found, evaluations = study.derivatives(model, batch, solver)
    assert evaluations > 0
    return {q: study.error(found[q], truth[q], apart=q == "factors") for q in study.QUANTITIES}


def test_errors_fall_with_the_tolerance(asked) -> None:
    loose, tight = off(asked, LOOSE), off(asked, TIGHT)
    for quantity in study.QUANTITIES:
        assert tight[quantity] < 1e-4 and tight[quantity] < loose[quantity] / 10, quantity


def test_a_method_without_quadrature_has_no_factors(asked) -> None:
    found = off(asked, ADAMS)
    assert found["factors"] != found["factors"] and found["gradient"] < 0.1
    one = study.Errors(0, True, ADAMS.name, 9, tuple(found.values()))
    assert "| 9 | " in study.to_markdown([one]) and "| – |" in study.to_markdown([one])


def test_a_gradient_of_half_the_size_is_off_by_a_half(asked, monkeypatch) -> None:
    class Half(torch.autograd.Function):
        @staticmethod
        def forward(ctx, y):
            return y.clone()

        @staticmethod
        def backward(ctx, a):
            return a / 2

    model, _, _ = asked
    _, layer = study._layer(model)
    monkeypatch.setattr(layer, "odeint", lambda *of, **how: Half.apply(ADJOINT(*of, **how)))
    found = off(asked, TIGHT)
    assert found["gradient"] == pytest.approx(0.5, rel=1e-3) and found["at the start"] == pytest.approx(0.5, rel=1e-3)


def test_the_report_and_its_picture_are_there(tmp_path: Path) -> None:
    assert "(adjoint_errors.png)" in (REPORTS / "adjoint_errors.md").read_text(encoding="utf-8")
    assert (REPORTS / "adjoint_errors.png").stat().st_size > 10_000
    pytest.importorskip("matplotlib")
    one = study.Errors(0, True, LOOSE.name, 20, (1e-2, 1e-2, 1e-2, 1e-2))
    study.picture([one, replace(one, solver=TIGHT.name, errors=(1e-6,) * 4)], tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes()[:4] == b"\x89PNG"
