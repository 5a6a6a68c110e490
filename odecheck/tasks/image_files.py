"""Images and labels from the files in which their authors give them out. Every file is compared with its MD5 first."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from odecheck.errors import BadInput
from odecheck.training.task import Data

from .files import whole

Pair = tuple[np.ndarray, np.ndarray]  # images (n, channels, height, width) in 0 … 255, labels (n,)


@dataclass(frozen=True)
class Images:
    """A data set. shape: channels, height, width. files: path in the data directory → MD5; of training and of test.
    read: the paths of one part → its images and labels. how: how to get the files."""

    name: str
    shape: tuple[int, int, int]
    train: Mapping[str, str]
    test: Mapping[str, str]
    read: Callable[[list[Path]], Pair]
    how: str

    def load(self, folder: Path | None) -> Data:
        """Images in 0 … 1 and labels. Raises BadInput for files that are missing, cut off or others."""
        return Data(self._part(folder, self.train), self._part(folder, self.test))

    def _part(self, folder: Path | None, files: Mapping[str, str]) -> tuple[Tensor, Tensor]:
        x, y = self.read([whole(folder, name, md5, self.how) for name, md5 in files.items()])
        if x.shape[1:] != self.shape or len(x) != len(y) or not (y.min() >= 0 and y.max() <= 9):
            raise BadInput(
                f"{', '.join(files)}: images of shape {x.shape[1:]} and {len(y)} labels from {y.min()} to {y.max()}",
                "files of another data set",
                self.how,
            )
        return torch.from_numpy(x.astype(np.float32) / 255), torch.from_numpy(y.astype(np.int64))


def idx(paths: list[Path]) -> Pair:
    """The format of MNIST: two zero bytes, the type, the number of axes, their sizes, the bytes."""
    images, labels = (_idx(path) for path in paths)
    return images[:, None], labels


def _idx(path: Path) -> np.ndarray:
    raw = gzip.decompress(path.read_bytes())
    axes = raw[3]
    shape = np.frombuffer(raw, ">i4", axes, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def mat(paths: list[Path]) -> Pair:
    """The format of SVHN: X (height, width, channels, n), y (n, 1) with 10 for the digit zero."""
    from scipy.io import loadmat

    read: Any = loadmat(str(paths[0]))
    return read["X"].transpose(3, 2, 0, 1), read["y"].ravel() % 10


def batches(paths: list[Path]) -> Pair:
    """The Python format of CIFAR-10. It is a pickle, which can run anything: never read one that was not compared."""
    import pickle

    read = [pickle.loads(path.read_bytes(), encoding="bytes") for path in paths]
    images = np.concatenate([np.asarray(one[b"data"], np.uint8) for one in read]).reshape(-1, 3, 32, 32)
    return images, np.concatenate([np.asarray(one[b"labels"]) for one in read])


MNIST = Images(
    "mnist",
    (1, 28, 28),
    {
        "mnist/train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "mnist/train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    },
    {
        "mnist/t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "mnist/t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    idx,
    "The four files *-ubyte.gz of MNIST, not unpacked, into DIR/mnist: from ossci-datasets.s3.amazonaws.com/mnist, or "
    "where torchvision.datasets.MNIST(download=True) puts them (MNIST/raw).",
)
SVHN = Images(
    "svhn",
    (3, 32, 32),
    {"svhn/train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373"},
    {"svhn/test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3"},
    mat,
    "train_32x32.mat and test_32x32.mat into DIR/svhn: from ufldl.stanford.edu/housenumbers (cropped digits).",
)
CIFAR10 = Images(
    "cifar10",
    (3, 32, 32),
    {
        "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
        "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
        "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    {"cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e"},
    batches,
    "cifar-10-python.tar.gz from www.cs.toronto.edu/~kriz/cifar.html, unpacked in DIR: tar xzf cifar-10-python.tar.gz.",
)
