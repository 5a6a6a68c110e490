"""Walks from files, and those that are refused."""

from __future__ import annotations

import numpy as np
import pytest

from odecheck import tasks
from odecheck.errors import BadInput
from odecheck.tasks import walker

RNG = np.random.default_rng(0)


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
