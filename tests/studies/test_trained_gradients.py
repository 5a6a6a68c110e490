"""What arrives of a gradient at earlier observations, against a perturbation of the state there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from odecheck import tasks
from odecheck.studies import trained_gradients as study
from odecheck.training.task import Data

REPORTS = Path(__file__).parents[2] / "reports"


class Moved(torch.nn.Module):
    """A jump to whose k-th result a number is added."""

    def __init__(self, jump: torch.nn.Module, k: int, by: torch.Tensor) -> None:
        super().__init__()
        self.jump, self.k, self.by, self.calls = jump, k, by, 0

    def forward(self, h, x):
        self.calls += 1
        return self.jump(h, x) + (self.by if self.calls == self.k + 1 else 0)


@pytest.fixture(scope="module")
def made():
    """A model of three numbers in float64, and two series of five and four observations in a batch."""
    pytest.importorskip("aeon")
    task = tasks.find("vowels")
    setting = replace(task.setting(), size=dict.fromkeys(study.MODELS, 3), tolerance=1e-8)
    data = task.load(None, setting)
    torch.manual_seed(0)
    module = task.build("HBNODE", setting, data).double().eval()
    times, x, mask, label = (part[:2, :5] if part.dim() > 1 else part[:2] for part in data.test)
    mask = mask.clone()
    mask[1, 4] = False
    return module, (times.double(), x.double(), mask, label)


def test_norms_are_those_of_a_state_that_is_moved(made) -> None:
    """The series of four observations alone: its last one is the fourth, the fifth is padding."""
    module, batch = made
    alone = tuple(part[1:] for part in batch)
    found = study.arriving(module, alone, back=3)
    jump, norms = module.rnn.jump, []
    for back in range(4):
        by = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
        module.rnn.jump = Moved(jump, 3 - back, by)
        loss = torch.nn.functional.cross_entropy(module(*alone[:3]), alone[3])
        norms.append(float(torch.autograd.grad(loss, by)[0].norm()))
    module.rnn.jump = jump
    np.testing.assert_allclose(found, np.array(norms) / norms[0], rtol=1e-5)


def test_series_that_are_too_short_are_left_out(made) -> None:
    module, batch = made
    long = tuple(part[:1] for part in batch)
    np.testing.assert_allclose(study.arriving(module, batch, back=4), study.arriving(module, long, back=4), rtol=1e-5)


def test_a_rate_is_the_slope_of_the_logarithm() -> None:
    one = study.Arriving("NODE", 0, "trained", np.exp(-0.5 * np.arange(15)), 0.9)
    assert one.rate == pytest.approx(-0.5)
    text = study.to_markdown([one, replace(one, seed=1), replace(one, state="before training")])
    assert "| NODE | trained | 2 | 0.900 |" in text and "-0.500 (-0.500 … -0.500)" in text


def test_every_model_is_asked_before_and_after(monkeypatch) -> None:
    pytest.importorskip("aeon")
    whole = tasks.find("vowels").load(None, tasks.find("vowels").setting())
    few = Data(*((t[:6, :4], x[:6, :4], m[:6, :4], y[:6]) for t, x, m, y in whole))
    monkeypatch.setattr(type(tasks.find("vowels")), "load", lambda *_: few)
    found = list(study.study(seeds=1, epochs=1, back=2, size=3))
    assert [(one.model, one.state) for one in found] == [(m, s) for m in study.MODELS for s in study.STATES]
    assert all(one.norms[0] == 1.0 and len(one.norms) == 3 for one in found)


def test_the_report_and_its_picture_are_there(tmp_path: Path) -> None:
    assert "(trained_gradients.png)" in (REPORTS / "trained_gradients.md").read_text(encoding="utf-8")
    assert (REPORTS / "trained_gradients.png").stat().st_size > 10_000
    pytest.importorskip("matplotlib")
    one = study.Arriving("NODE", 0, "trained", np.exp(-0.5 * np.arange(15)), 0.9)
    study.picture([one, replace(one, state="before training")], tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes()[:4] == b"\x89PNG"
