"""Files of a data directory: whole ones are read, cut off or wrong ones are refused with what to type."""

from __future__ import annotations

import gzip
import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from odecheck import tasks
from odecheck.errors import BadInput
from odecheck.fields.conv import ConvWithTime
from odecheck.tasks import files, image_files, images, walker

RNG = np.random.default_rng(0)


def digest(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def written(kind: image_files.Images, folder: Path) -> image_files.Images:
    """The data set with small files in the format of its own, and their digests."""
    labels = {"train": np.arange(30) % 10, "test": np.arange(20) % 10}
    for part, y in labels.items():
        x = RNG.integers(0, 256, (len(y), *kind.shape), dtype=np.uint8)
        names = list(kind.train if part == "train" else kind.test)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if kind is image_files.MNIST:
            for name, values in zip(names, (x[:, 0], y.astype(np.uint8)), strict=True):
                header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
                (folder / name).write_bytes(gzip.compress(header + values.tobytes()))
        elif kind is image_files.SVHN:
            savemat(folder / names[0], {"X": x.transpose(2, 3, 1, 0), "y": np.where(y == 0, 10, y)[:, None]})
        else:
            for name, rows in zip(names, np.array_split(np.arange(len(y)), len(names)), strict=True):
                batch = {b"data": x[rows].reshape(len(rows), -1), b"labels": y[rows].tolist()}
                (folder / name).write_bytes(pickle.dumps(batch))
    return replace(
        kind,
        train={name: digest(folder / name) for name in kind.train},
        test={name: digest(folder / name) for name in kind.test},
    )


KINDS = pytest.mark.parametrize(
    "kind", [image_files.MNIST, image_files.SVHN, image_files.CIFAR10], ids=lambda k: k.name
)


@KINDS
def test_images_are_read_from_their_authors_formats(kind, tmp_path) -> None:
    train, test = written(kind, tmp_path).load(tmp_path)
    assert train[0].shape == (30, *kind.shape) and test[0].shape == (20, *kind.shape)
    assert train[0].dtype == torch.float32 and train[0].min() >= 0 and 0.9 < train[0].max() <= 1
    assert train[1].tolist() == [i % 10 for i in range(30)]


@KINDS
@pytest.mark.parametrize("how", ["missing", "cut off", "another", "no directory"])
def test_other_files_are_refused(kind, how, tmp_path) -> None:
    small = written(kind, tmp_path)
    path = tmp_path / list(small.train)[-1]
    if how == "missing":
        path.unlink()
    elif how == "cut off":
        path.write_bytes(path.read_bytes()[:-7])
    elif how == "another":
        path.write_bytes(b"<html>404 not found</html>")
    with pytest.raises(BadInput) as refused:
        small.load(None if how == "no directory" else tmp_path)
    expected = {"missing": "there is no file", "no directory": "ODECHECK_DATA"}.get(
        how, "is not the file that is meant"
    )
    assert expected in str(refused.value) and refused.value.fix


def test_a_pickle_that_was_not_compared_is_never_read(tmp_path) -> None:
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a foreign pickle was run",))

    small = written(image_files.CIFAR10, tmp_path)
    (tmp_path / next(iter(small.train))).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(BadInput, match="is not the file"):
        small.load(tmp_path)


def test_the_digits_are_all_there() -> None:
    train, test = images.digits()
    assert (len(train[0]), len(test[0])) == (1437, 360)
    assert train[0].shape[1:] == (1, 8, 8) and train[0].max() == 1.0
    assert set(test[1].tolist()) == set(range(10))
    pixels = torch.cat([train[0], test[0]]).flatten(1)
    assert len(torch.unique(pixels, dim=0)) == 1797  # no image in both


def csv(folder: Path, rows: int) -> Path:
    path = folder / "silverbox.csv"
    body = "".join(f"{i % 7 / 7:.6f},{i % 5 / 5:.6f},\n" for i in range(rows))
    path.write_text('"V1","V2",\n' + body)
    return path


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: len(text) // 2], "rows, and not"),
        (lambda text: "<html>not found</html>", "and not"),
        (lambda text: text.replace('"V2"', '"V3"'), "and not ['V2']"),
        (lambda text: text.replace("0.200000", "n/a", 1), "no number"),
        (lambda text: "", "cannot be read"),
    ],
)
def test_a_damaged_table_is_refused(damage, said, tmp_path) -> None:
    path = csv(tmp_path, 400)
    assert files.table(tmp_path, path.name, ("V1", "V2"), 400, "how").shape == (400, 2)
    path.write_text(damage(path.read_text()))
    with pytest.raises(BadInput, match="get it again") as refused:
        files.table(tmp_path, path.name, ("V1", "V2"), 400, "how")
    assert said in str(refused.value)


def test_sequences_forecast_what_follows_them(tmp_path) -> None:
    """From a file in the format of the real one: times are row numbers, forecasts are consecutive rows."""
    csv(tmp_path, 4000)
    task = replace(tasks.find("silverbox"), rows=4000)
    light = task.setting("light")
    (t, x, mask), (tested, *_) = task.load(tmp_path, light)
    assert t.shape[1] == light.more["seen"] + light.more["ahead"] and x.shape[2] == 2
    assert (t.diff(dim=1) >= 1).all() and (t[:, -9:].diff(dim=1) == 1).all()
    assert t.diff(dim=1)[:, :15].float().mean() == pytest.approx(1 / 0.9, rel=0.05)
    assert mask.sum(dim=1).unique().tolist() == [16]
    assert len(t) / len(tested) == pytest.approx(2, rel=0.05)  # 50 and 25 per cent
    assert t.shape == mask.shape


def test_walks_are_read_and_others_refused(tmp_path) -> None:
    folder = tmp_path / "walker"
    folder.mkdir()
    for i in range(5):
        np.save(folder / f"{i}.npy", RNG.standard_normal((200, 17)))
    setting = tasks.find("walker2d").setting("light")
    train, test = tasks.find("walker2d").load(tmp_path, setting)
    assert train[1].shape[1:] == (64, 17) and len(test[0]) > 0
    whole = (folder / "3.npy").read_bytes()
    for damage in (whole[:-100], whole[:20], b"nothing"):
        (folder / "3.npy").write_bytes(damage)
        with pytest.raises(BadInput, match=r"3\.npy"):
            walker.walks(tmp_path)
    np.save(folder / "3.npy", np.zeros((200, 5)))
    with pytest.raises(BadInput, match="shape"):
        walker.walks(tmp_path)
    with pytest.raises(BadInput, match="ODECHECK_DATA"):
        walker.walks(None)


def test_convolutions_see_the_time_and_keep_the_image() -> None:
    torch.manual_seed(0)
    field = ConvWithTime((3, 5, 2), (1, 3))
    x = torch.randn(2, 3, 6, 7)
    assert field(torch.tensor(0.0), x).shape == (2, 2, 6, 7)
    assert not torch.equal(field(torch.tensor(0.0), x), field(torch.tensor(1.0), x))
    for channels, kernels in (((3, 3), (1, 1)), ((3, 3), (2,))):
        with pytest.raises(ValueError, match="one odd kernel"):
            ConvWithTime(channels, kernels)
