"""Classification of series: those that come with aeon, files that are refused, and training that lowers the loss."""

from __future__ import annotations

import math
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from odecheck import tasks
from odecheck.errors import BadInput
from odecheck.tasks import time_series
from odecheck.tasks.time_series import MODELS, VOWELS, bundled
from odecheck.training.loop import Training, Trial
from odecheck.training.task import Data

pytest.importorskip("aeon", reason="the extra `tasks` is not installed")


@pytest.fixture(scope="module")
def vowels() -> Data:
    task = tasks.find("vowels")
    return task.load(None, task.setting())


def few(data: Data) -> Data:
    """Every fifth series, cut to its first eight points."""

    def cut(part):
        t, x, mask, label = (x[::5] for x in part)
        return t[:, :8], x[:, :8], mask[:, :8], label

    return Data(cut(data.train), cut(data.test))


def test_series_are_read_offline_padded_and_standardised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    data = VOWELS.load(bundled())
    t, x, mask, label = data.train
    assert t.shape == mask.shape == (270, 29) and x.shape == (270, 29, 12) and data.test[1].shape == (370, 29, 12)
    assert label.bincount().tolist() == [30] * 9
    seen = x[mask]
    assert float(seen.mean(0).abs().max()) < 1e-5 and float((seen.std(0) - 1).abs().max()) < 1e-3
    assert not x[~mask].any()
    lengths = mask.sum(1)
    assert int(lengths.min()) == 7 and torch.equal(t[:, -1], (lengths - 1).float())
    assert torch.equal(t.diff(dim=1) > 0, mask[:, 1:])


def test_padding_changes_nothing(vowels: Data) -> None:
    """A padded row in a batch has the answer that it has alone, without its padding, within the tolerance."""
    task = tasks.find("vowels")
    setting = replace(task.setting(), tolerance=1e-9)
    torch.manual_seed(0)
    module = task.build("HBNODE", setting, vowels).double()
    t, x, mask, _ = (part[:3] for part in vowels.train)
    t, x = t.double(), x.double()
    lengths = mask.sum(1)
    assert len(set(lengths.tolist())) > 1
    with torch.no_grad():
        together = module(t, x, mask)
        for i, n in enumerate(lengths.tolist()):
            alone = module(t[i : i + 1, :n], x[i : i + 1, :n], mask[i : i + 1, :n])
            # 29 solves at 1e-9, whose errors a jump may enlarge
            torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-5, atol=1e-5)
        # an unmasked batch, as a mutant: the padding then speaks
        assert float((module(t, x, torch.ones_like(mask)) - together).abs().max()) > 1e-2


def fall(data: Data, model: str, optimizer: str, rate: float, field: float = 1.0) -> float:
    """The first step's fall of the loss on its own rows, in units of what the gradient promises: of g · (θ₀ − θ₁).

    field: a mutant's factor of the gradient in the field's parameters."""
    task = tasks.find("vowels")
    # a tolerance at which the solver's error is below a thousandth of the fall
    setting = replace(task.setting(), epochs=2, batch=54, evaluate_every=2, tolerance=1e-5)
    training = Training(Trial(task, setting, model, optimizer, 0, rate), data)
    start = {name: p.detach().clone() for name, p in training.module.named_parameters()}
    training.twin.load_state_dict(training.module.state_dict())
    task.loss(training.twin, training.data.train).loss.backward()
    gradient = {name: p.grad.clone() for name, p in training.twin.named_parameters()}
    rows = training.rows()
    first = next(rows)
    promised = sum(
        (field if ".field." in name else 1.0) * float((gradient[name] * (start[name] - p.detach())).sum())
        for name, p in training.module.named_parameters()
    )
    second = next(rows)
    for row in (first, second, next(rows)):
        # seven intervals, each with two evaluations at its start and six a step of dopri5
        assert row.nfe_forward == (row.accepted_forward + row.rejected_forward) * 6 + 2 * 7
        assert row.split == "test" or row.nfe_backward == (row.accepted_backward + row.rejected_backward) * 6 + 2 * 7
        assert not row.message and 0 <= row.accuracy <= 1
    assert promised > 0
    return (first.loss - second.loss) / promised


def check_first_order(data: Data, model: str, optimizer: str, rate: float, field: float = 1.0) -> None:
    """(L₀ − L₁) / g·(θ₀ − θ₁) = 1 + c·rate + O(rate²). From two rates c is known, and what differs from 1 without it is
    of second order: smaller than what was taken off, in a rate with |c·rate| < 1."""
    whole, half = (fall(data, model, optimizer, r, field) for r in (rate, rate / 2))
    assert abs(2 * half - whole - 1) < abs(whole - half) < 0.5


CASES = [("NODE", "snopt", 0.1), ("HBNODE", "adam", 0.002), ("AdamNODE", "sgd", 0.1)]


@pytest.mark.parametrize(("model", "optimizer", "rate"), CASES)
def test_a_step_lowers_the_loss_by_what_its_gradient_promises(vowels, model, optimizer, rate) -> None:
    check_first_order(few(vowels), model, optimizer, rate)


def test_a_gradient_that_counts_the_field_twice_is_seen(vowels) -> None:
    with pytest.raises(AssertionError):
        check_first_order(few(vowels), "NODE", "sgd", 0.1, field=2.0)


def test_models_have_nearly_equal_parameter_counts(vowels: Data) -> None:
    for name in ("vowels", "characters", "words", "spoken-digits"):
        task = tasks.find(name)
        for setting in task.settings:
            counts = [sum(p.numel() for p in task.build(m, setting, vowels).parameters()) for m in MODELS]
            assert max(counts) / min(counts) < 1.02, (name, setting.name, counts)
    # four linear layers 32-32-32-32-32, a GRU step from 3 channels, a readout of 20 classes
    published = tasks.find("characters").setting("published")
    count = sum(p.numel() for p in tasks.find("characters").build("NODE", published, vowels).parameters())
    assert count == 4 * (32 * 32 + 32) + 3 * (32 * 3 + 32 * 32 + 2 * 32) + 20 * 33


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(bundled() / "JapaneseVowels", tmp_path / "JapaneseVowels")
    return tmp_path


def change(text: str, new: str):
    def damage(path: Path) -> None:
        path.write_text(path.read_text().replace(text, new, 1))

    return damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300_000])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda p: p.unlink(), "there is no file JapaneseVowels/JapaneseVowels_TRAIN.ts"),
        (cut, "cannot be read|it has [0-9]+ series, and not 270|a series has not 12 channels"),
        (lambda p: p.write_text("\n".join(p.read_text().splitlines()[:-1])), "it has 269 series, and not 270"),
        (lambda p: p.write_text("<html>404</html>"), "holds the problem 'none'"),
        (lambda p: p.write_text(""), "holds the problem 'none'"),
        (change("@problemName JapaneseVowels", "@problemName BasicMotions"), "holds the problem 'basicmotions'"),
        (change("1.860936", "nan"), "missing or no number"),
        (lambda p: shutil.copy(p.with_name("JapaneseVowels_TEST.ts"), p), "it has 370 series, and not 270"),
        (lambda p: shutil.copy(bundled() / "BasicMotions/BasicMotions_TRAIN.ts", p), "holds the problem"),
    ],
)
def test_wrong_and_half_downloaded_files_are_refused(folder: Path, damage, says: str) -> None:
    VOWELS.load(folder)
    damage(folder / "JapaneseVowels/JapaneseVowels_TRAIN.ts")
    with pytest.raises(BadInput, match=says) as refusal:
        VOWELS.load(folder)
    assert "Multivariate2018_ts.zip" in refusal.value.fix


def test_without_a_data_directory_or_aeon_the_answer_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("characters", "words", "spoken-digits"):
        task = tasks.find(name)
        assert all(setting.needs_data for setting in task.settings)
        with pytest.raises(BadInput, match="no data directory"):
            task.load(None, task.setting())
    task = tasks.find("vowels")
    with pytest.raises(BadInput, match="no model 'ANODE'"):
        task.build("ANODE", task.setting(), Data((), ()))
    monkeypatch.setitem(__import__("sys").modules, "aeon.datasets", None)
    with pytest.raises(BadInput, match="aeon, which is not installed"):
        time_series.bundled()


def test_a_file_in_a_data_directory_is_read_as_the_bundled_one(folder: Path, vowels: Data) -> None:
    for a, b in zip(VOWELS.load(folder).train, vowels.train, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())
    assert math.isfinite(float(vowels.test[1].sum()))
