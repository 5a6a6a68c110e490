"""Tables of densities: standardised, split, and refused where they are damaged or do something."""

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
from odecheck.tasks.tabular import GAS, MINIBOONE, Table, array, sensors
from odecheck.training.loop import Trial, train

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
