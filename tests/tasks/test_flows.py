"""Densities by flows: generated points, tables and what is refused of them, and training that lowers the loss."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from odecheck import tasks
from odecheck.errors import BadInput
from odecheck.tasks.flows import WIDTH, gaussians, moons
from odecheck.tasks.tabular import GAS, MINIBOONE, Table, array, sensors
from odecheck.training.loop import Training, Trial, train
from odecheck.training.task import Data


@pytest.mark.parametrize(
    ("name", "model", "optimizer"),
    [("moons", "CNF", "snopt"), ("moons", "CNF-Hutchinson", "adam"), ("gaussians", "CNF", "sgd")],
)
def test_training_lowers_the_loss_and_counts_evaluations(name: str, model: str, optimizer: str) -> None:
    task = tasks.find(name)
    setting = replace(task.setting(), tolerance=1e-3, epochs=2, evaluate_every=8)
    data = task.load(None, setting)
    training = Training(Trial(task, setting, model, optimizer, 0), data)
    with torch.no_grad():
        before = training.module(data.test[0])
    rows = list(training.rows())
    with torch.no_grad():
        gain = training.module(data.test[0]) - before
    # row by row on 1,000 rows that were not trained on: five standard errors
    assert float(gain.mean()) > 5 * float(gain.std()) / math.sqrt(1000)
    assert [row.step for row in rows if row.split == "train"] == list(range(1, 17))
    assert all(not row.message and math.isfinite(row.loss) for row in rows)
    for row in rows:
        # dopri5: six evaluations for each step, two at the start
        assert row.nfe_forward == (row.accepted_forward + row.rejected_forward) * 6 + 2
        assert row.split == "test" or row.nfe_backward == (row.accepted_backward + row.rejected_backward) * 6 + 2
    assert rows[0].parameters == 9224 and rows[-1].split == "test"


def test_no_model_beats_the_entropy_of_the_mixture() -> None:
    """The truth's own mean of −log p is the entropy that the docstring states, within five standard errors."""
    x = gaussians(20_000, torch.Generator().manual_seed(3)).double()
    angle = torch.arange(8) * (math.pi / 4)
    centres = 2.0 * torch.stack([angle.cos(), angle.sin()], dim=1).double()
    square = ((x[:, None] - centres) ** 2).sum(-1) / (2 * WIDTH**2)
    surprise = -(torch.logsumexp(-square, 1) - math.log(8 * 2 * math.pi * WIDTH**2))
    entropy = math.log(8) + math.log(2 * math.pi * math.e * WIDTH**2)
    # less than 1e-3 of overlap takes less than 1e-3·ln 8 away
    assert abs(float(surprise.mean()) - entropy) < 5 * float(surprise.std()) / math.sqrt(20_000) + 2e-3


def test_moons_lie_on_their_half_circles() -> None:
    x = moons(1000, torch.Generator().manual_seed(0)) + torch.tensor([0.5, 0.25])
    upper = torch.arange(1000) % 2 == 0
    to_upper = (x.square().sum(1).sqrt() - 1).abs()
    to_lower = ((x - torch.tensor([1.0, 0.5])).square().sum(1).sqrt() - 1).abs()
    assert float(to_upper[upper].max()) < 0.5 and float(to_lower[~upper].max()) < 0.5
    assert 0.05 < float(to_upper[upper].std() + to_lower[~upper].std()) / 2 < 0.1


def test_rows_are_the_same_in_every_call_and_test_rows_are_others() -> None:
    task = tasks.find("moons")
    one, two = task.load(None, task.setting()), task.load(None, task.setting())
    assert torch.equal(one.train[0], two.train[0]) and torch.equal(one.test[0], two.test[0])
    assert one.train[0].shape == (2000, 2) and one.test[0].shape == (1000, 2)
    assert not {tuple(row) for row in one.test[0].tolist()} & {tuple(row) for row in one.train[0].tolist()}


BOONE = replace(MINIBOONE, rows=200, features=3)
SENSORS = replace(GAS, rows=200, features=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "miniboone").mkdir()
    np.save(tmp_path / "miniboone/data.npy", rng.standard_normal((200, 3)) * [1.0, 5.0, 0.1] + 7)
    (tmp_path / "gas").mkdir()
    frame = pd.DataFrame(rng.standard_normal((200, 4)), columns=list("abcd"))
    frame["c"] = frame["a"] + 1e-3 * frame["b"]  # says the same as a
    for name in ("Time", "Meth", "Eth"):
        frame[name] = rng.standard_normal(200)
    frame.to_pickle(tmp_path / "gas/ethylene_CO.pickle")
    return tmp_path


@pytest.mark.parametrize("table", [BOONE, SENSORS])
def test_a_table_is_standardised_and_split(folder: Path, table: Table) -> None:
    train, test = (part[0] for part in table.load(folder))
    assert train.shape == (162, 3) and test.shape == (20, 3)
    raw = (array if table is BOONE else sensors)(folder / table.file)[:180]
    expected = (raw - raw.mean(0)) / raw.std(0)
    torch.testing.assert_close(train, torch.from_numpy(expected[:162]).float())
    assert len(table.load(folder, 0.1).train[0]) == 16


def test_sensors_that_say_the_same_are_left_out_once(folder: Path) -> None:
    whole = pd.read_pickle(folder / SENSORS.file)
    np.testing.assert_array_equal(sensors(folder / SENSORS.file), whole[["b", "c", "d"]].to_numpy())


def test_a_table_trains(folder: Path) -> None:
    task = replace(tasks.find("miniboone"), table=BOONE)
    setting = replace(task.setting("small"), batch=54, size={"CNF-Hutchinson": 8})
    rows = list(train(Trial(task, setting, "CNF-Hutchinson", "adam", 0), task.load(folder, setting)))
    assert len(rows) == 4 and all(math.isfinite(row.loss) for row in rows)
    many = replace(task.setting("small"), more={"layers": 2, "activation": "tanh", "flows": 3}, size={"CNF": 4})
    flows = task.build("CNF", many, task.load(folder, setting)).double()
    x = torch.randn(2, 3, dtype=torch.float64)
    z, total = x, torch.zeros(2, dtype=torch.float64)
    for flow in flows.flows:
        z, change = flow(z)
        total = total + change
    torch.testing.assert_close(flows(x), torch.distributions.Normal(0, 1).log_prob(z).sum(1) + total)


class Command:
    def __reduce__(self):
        return (print, ("this must not be printed",))


def by_way_of(module: str) -> bytes:
    """A pickle that prints, reaching `print` through what a module of tables has imported itself."""

    def named(name: str) -> bytes:
        texts = (pickle.SHORT_BINUNICODE + bytes([len(text)]) + text.encode() for text in (module, name))
        return b"".join(texts) + pickle.STACK_GLOBAL

    def call(argument: bytes) -> bytes:
        return argument + pickle.TUPLE1 + pickle.REDUCE

    def text(said: str) -> bytes:
        return pickle.SHORT_BINUNICODE + bytes([len(said)]) + said.encode()

    builtins = named("sys.modules.__getitem__") + call(text("builtins"))
    printing = named("operator.attrgetter") + call(text("print")) + call(builtins)
    return pickle.PROTO + b"\x04" + printing + call(text("this must not be printed")) + pickle.STOP


@pytest.mark.parametrize(
    ("damage", "table", "says"),
    [
        (lambda p: (p / BOONE.file).unlink(), BOONE, "there is no file miniboone/data.npy"),
        (lambda p: (p / BOONE.file).write_bytes((p / BOONE.file).read_bytes()[:2000]), BOONE, "cannot be read"),
        (lambda p: (p / BOONE.file).write_text("<html>404</html>"), BOONE, "cannot be read"),
        (lambda p: np.save(p / BOONE.file, np.zeros((200, 4))), BOONE, r"shape \(200, 4\), and not \(200, 3\)"),
        (lambda p: np.save(p / BOONE.file, np.full((200, 3), np.nan)), BOONE, "row 0 has an entry that is no number"),
        (lambda p: np.save(p / BOONE.file, np.array([Command()]), allow_pickle=True), BOONE, "cannot be read"),
        (lambda p: (p / SENSORS.file).write_bytes((p / SENSORS.file).read_bytes()[:3000]), SENSORS, "cannot be read"),
        (lambda p: (p / SENSORS.file).write_text("<html>404</html>"), SENSORS, "cannot be read"),
        (lambda p: (p / SENSORS.file).write_bytes(pickle.dumps({"a": 1})), SENSORS, "cannot be read"),
        (lambda p: (p / SENSORS.file).write_bytes(pickle.dumps(Command())), SENSORS, "no part of a table"),
        (lambda p: (p / SENSORS.file).write_bytes(by_way_of("pandas.core.frame")), SENSORS, "no part of a table"),
        (lambda p: pd.DataFrame({"a": [1.0]}).to_pickle(p / SENSORS.file), SENSORS, "cannot be read"),
    ],
)
def test_wrong_and_half_downloaded_files_are_refused(folder: Path, capsys, damage, table: Table, says: str) -> None:
    damage(folder)
    with pytest.raises(BadInput, match=says) as refusal:
        table.load(folder)
    assert "Zenodo" in refusal.value.fix and capsys.readouterr().out == ""


def test_without_a_data_directory_the_answer_says_what_to_type() -> None:
    for name in ("miniboone", "gas"):
        task = tasks.find(name)
        assert all(setting.needs_data for setting in task.settings)
        with pytest.raises(BadInput, match="no data directory"):
            task.load(None, task.setting())
    with pytest.raises(BadInput, match="no model 'NODE'"):
        tasks.find("moons").build("NODE", tasks.find("moons").setting(), Data((torch.zeros(1, 2),), ()))
