"""MINIBOONE and GAS, from the files in which density estimators are compared on them (arXiv:1705.07057)."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from odecheck.errors import BadInput, needed
from odecheck.training.task import Data

from .files import found

ARCHIVE = (
    "It is in data.tar.gz of the record 1161203 of Zenodo (817 MB), 'preprocessed datasets for masked autoregressive "
    "flow': tar xf data.tar.gz, and give its folder data as the data directory."
)
# Where a column is this much correlated with another, one of them is left out.
CORRELATED = 0.98
# A pickle can run any function that it names. These are what tables of old and new versions of pandas are made of, each
# by its whole name: a module has more in it than its own.
_INDEX = ("Index", "Int64Index", "RangeIndex", "_new_Index")
_ARRAY, _NUMERIC = ("_reconstruct", "scalar"), ("_frombuffer",)
TABLE_NAMES = {
    "pandas": ("DataFrame", "Index", "RangeIndex", "StringDtype"),
    "pandas.arrays": ("ArrowStringArray",),
    "pandas.core.frame": ("DataFrame",),
    "pandas.core.index": _INDEX,
    **{
        f"pandas.{where}.{file}": _INDEX
        for where in ("indexes", "core.indexes")
        for file in ("base", "range", "numeric")
    },
    "pandas.core.internals": ("BlockManager",),
    "pandas.core.internals.managers": ("BlockManager",),
    "pandas.core.internals.blocks": ("new_block",),
    "pandas._libs.internals": ("_unpickle_block", "BlockPlacement"),
    "pyarrow.lib": ("_restore_array", "type_for_alias", "py_buffer"),
    "numpy": ("ndarray", "dtype"),
    "numpy.core.multiarray": _ARRAY,
    "numpy._core.multiarray": _ARRAY,
    "numpy.core.numeric": _NUMERIC,
    "numpy._core.numeric": _NUMERIC,
    "builtins": ("slice", "object"),
    "__builtin__": ("slice", "object"),
    "_codecs": ("encode",),
    "copyreg": ("_reconstructor",),
    "copy_reg": ("_reconstructor",),
}


@dataclass(frozen=True)
class Table:
    """A data set. file: its path in the data directory. rows, features: of it, after `read`."""

    name: str
    file: str
    rows: int
    features: int
    read: Callable[[Path], np.ndarray]
    how: str = ARCHIVE

    def load(self, folder: Path | None, share: float = 1.0) -> Data:
        """Standardised rows: the last tenth tests, the tenth before it is for validation, and stays unused here.

        share: of both, drawn once and for all. Raises BadInput for a file that is missing, cut off or another one.
        """
        path = found(folder, self.file, self.how)
        try:
            x = self.read(path)
        except (ValueError, EOFError, OSError, pickle.UnpicklingError, LookupError, AttributeError, TypeError) as error:
            said = str(error).strip().splitlines()
            raise self._refused(
                path, f"it cannot be read ({said[0][:120] if said else type(error).__name__})"
            ) from error
        if x.shape != (self.rows, self.features):
            raise self._refused(path, f"it has the shape {x.shape}, and not {(self.rows, self.features)}")
        if not np.isfinite(x).all():
            raise self._refused(
                path, f"row {int(np.argmin(np.isfinite(x).all(axis=1)))} has an entry that is no number"
            )
        test = len(x) // 10
        rest, last = x[:-test], x[-test:]
        train = rest[: len(rest) - len(rest) // 10]
        mean, scale = rest.mean(axis=0), rest.std(axis=0)
        return Data(*((_share((part - mean) / scale, share),) for part in (train, last)))

    def _refused(self, path: Path, seen: str) -> BadInput:
        return BadInput(
            f"{path}: {seen}",
            "a download that was cut off, an error page saved under this name, or another file",
            f"rm {path}, and get it again. {self.how}",
        )


def _share(x: np.ndarray, share: float) -> torch.Tensor:
    chosen = torch.as_tensor(x.astype(np.float32))
    if share == 1.0:
        return chosen
    return chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))[: int(share * len(chosen))]]


def array(path: Path) -> np.ndarray:
    """(rows, features) of a .npy file."""
    return np.load(path, allow_pickle=False)


def _unpickled(file: IO[bytes]) -> Any:
    """A pickled DataFrame, also of old versions of pandas, and nothing that could do anything."""
    (compat,) = needed("tables", "pandas.compat.pickle_compat")
    base: type[pickle.Unpickler] = compat.Unpickler

    class TableUnpickler(base):
        def find_class(self, module_name: str, global_name: str, /) -> Any:
            if global_name not in TABLE_NAMES.get(module_name, ()):
                raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which is no part of a table")
            return super().find_class(module_name, global_name)

    return TableUnpickler(file, encoding="latin-1").load()  # as Python 2 wrote it


def sensors(path: Path) -> np.ndarray:
    """The gas sensors of a pickled DataFrame, without time, concentrations, and columns that say the same."""
    with path.open("rb") as file:
        read = _unpickled(file)
    x: np.ndarray = read.drop(columns=["Meth", "Eth", "Time"]).to_numpy(np.float64)
    return x[:, _unlike(np.corrcoef(x, rowvar=False))]


def _unlike(correlation: np.ndarray) -> list[int]:
    """Columns that are left when, one after another, the first that is like a later or earlier one is taken out."""
    left = list(range(len(correlation)))
    while True:
        alike = (correlation[np.ix_(left, left)] > CORRELATED).sum(axis=1)
        if not (alike > 1).any():
            return left
        del left[int(np.argmax(alike > 1))]


MINIBOONE = Table("miniboone", "miniboone/data.npy", 36_488, 43, array)
GAS = Table("gas", "gas/ethylene_CO.pickle", 1_052_065, 8, sensors)
