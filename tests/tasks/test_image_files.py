"""Image files: whole ones are read, cut off or wrong ones are refused with what to type."""

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

from odecheck.errors import BadInput
from odecheck.tasks import image_files

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
