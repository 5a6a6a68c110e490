"""Answers that are kept on disk: the same as those worked out, of the same question only, and never somebody's code."""

from __future__ import annotations

import hashlib
import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from odecheck_reference import Problem, flow, on_disk
from odecheck_reference.fields import Linear
from odecheck_reference.looked import kept, widths
from odecheck_reference.losses import Linear as LinearLoss
from odecheck_reference.on_disk import default_folder, kept_in

from odecheck.fields.callback import CallbackField


def problem(end: float = 1.0, **changes: object) -> Problem:
    """A problem that is an object of its own, equal to the others in every number."""
    y0, theta, ts = np.array([[1.0]]), np.array([-0.5, 0.25]), np.array([0.0, end])
    return Problem("decay", Linear(1), y0, theta, ts, LinearLoss(np.ones((2, 1, 1)))).with_(**changes)


def asked(folder: Path, of: Problem) -> tuple[on_disk.Kept, tuple[flow.Trajectory, ...], list[float]]:
    with kept_in(folder) as counted, widths() as found:
        runs = flow.trajectories(of, 1)
    return counted, runs, found


def test_a_second_process_reads_what_the_first_worked_out(tmp_path: Path):
    first, runs, seen = asked(tmp_path, problem())
    again, same, seen_again = asked(tmp_path, problem())
    assert (first.made, first.read, again.made, again.read) == (1, 0, 0, 1)
    assert first.seconds > 0 and again.seconds == 0
    for one, other in zip(runs, same, strict=True):
        for a, b in zip(one.blocks, other.blocks, strict=True):
            np.testing.assert_array_equal(a, b)
    assert seen_again == seen and seen  # how narrow a feature was looked at is said again
    mesh, mesh_again = runs[0].mesh, same[0].mesh
    assert mesh is not None and mesh_again is not None and mesh.cuts == mesh_again.cuts


@pytest.mark.parametrize(
    "other",
    [
        problem(end=1.0 + 2**-50),
        problem(theta=np.array([-0.5, 0.25 + 2**-50])),
        problem(y0=np.array([[-1.0]])),
        problem(breaks=(0.5,)),
        problem(field=Linear(1, time=True), theta=np.array([-0.5, 0.25, 0.0])),
    ],
    ids=["times", "parameters", "start", "breaks", "field"],
)
def test_a_question_that_differs_in_anything_is_another_one(tmp_path: Path, other: Problem):
    asked(tmp_path, problem())
    counted, _, _ = asked(tmp_path, other)
    assert (counted.made, counted.read) == (1, 0)


def test_a_changed_line_of_the_reference_makes_all_answers_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked(tmp_path, problem())
    monkeypatch.setattr(on_disk, "_code", lambda package: package.encode())
    counted, _, _ = asked(tmp_path, problem())
    assert (counted.made, counted.read) == (1, 0)


@dataclass(frozen=True)
class OwnDecay(Linear):
    """A field of somebody else's: its class has the same numbers, and may compute anything."""


def test_nothing_is_kept_of_a_field_that_is_not_of_the_reference(tmp_path: Path):
    import torch

    own = [OwnDecay(1), CallbackField(torch.nn.Linear(1, 1).double(), (1,))]
    for field in own:
        with kept_in(tmp_path) as counted:
            args = problem().with_(field=field), 1
            assert counted._name(flow.trajectories, args, {}) is None  # pyright: ignore[reportPrivateUsage]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("harm", ["cut short", "one bit", "empty", "a folder"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, harm: str):
    asked(tmp_path, problem())
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    if harm == "a folder":
        file.unlink()
        file.mkdir()
    else:
        bit = bytearray(content)
        bit[len(bit) // 2] ^= 1
        file.write_bytes({"cut short": content[:-9], "one bit": bytes(bit), "empty": b""}[harm])
    counted, runs, _ = asked(tmp_path, problem())
    assert (counted.made, counted.read) == (1, 0) and len(runs) == len(flow.RUNS)


class Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code of a pickle was run')",)


@pytest.mark.parametrize(
    "payload",
    [Harm(), print, np.frompyfunc, on_disk.Path, flow.np.load, (np.zeros(1), {"far": {"below": Harm()}})],
    ids=["exec", "builtin", "numpy's function", "re-exported class", "loader", "hidden"],
)
def test_a_pickle_that_names_more_than_numbers_is_not_read(tmp_path: Path, payload: object):
    content = pickle.dumps(payload, protocol=4)
    (tmp_path / "x.pickle").write_bytes(hashlib.sha256(content).digest() + content)
    assert on_disk._read(tmp_path / "x.pickle") is None  # pyright: ignore[reportPrivateUsage]


def test_names_are_of_the_module_that_defines_them(tmp_path: Path):
    """`odecheck_reference.on_disk.Path` is a class, and of pathlib: by such a way a pickle could name anything."""
    content = pickle.dumps(on_disk.Path("/"), protocol=4).replace(b"pathlib", b"odecheck_reference.on_disk")
    (tmp_path / "x.pickle").write_bytes(hashlib.sha256(content).digest() + content)
    assert on_disk._read(tmp_path / "x.pickle") is None  # pyright: ignore[reportPrivateUsage]


def test_an_answer_that_cannot_be_written_is_an_answer(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    counted, runs, _ = asked(tmp_path / "file", problem())
    assert counted.made == 1 and len(runs) == len(flow.RUNS)


def test_what_was_not_used_for_the_longest_time_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ends = (1.0, 1.25, 1.5)
    for age, end in zip((300, 200, 100), ends, strict=True):
        before = set(tmp_path.iterdir())
        asked(tmp_path, problem(end))
        (new,) = set(tmp_path.iterdir()) - before
        os.utime(new, (new.stat().st_atime, new.stat().st_mtime - age))
    size = new.stat().st_size
    asked(tmp_path, problem(ends[0]))  # read, so it is young again
    monkeypatch.setattr(on_disk, "MOST_BYTES", int(3.5 * size))
    asked(tmp_path, problem(1.75))
    assert [asked(tmp_path, problem(end))[0].read for end in (1.75, 1.0, 1.5, 1.25)] == [1, 1, 1, 0]


def test_what_is_not_ours_is_never_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder that somebody keeps other things in, and a write that was killed halfway."""
    foreign = [tmp_path / name for name in ("model.pickle", "notes.txt", "x.part")]
    for file in (*foreign, tmp_path / "odecheck-1a_2.part"):
        file.write_bytes(b"0" * 9999)
        os.utime(file, (0, 0))
    monkeypatch.setattr(on_disk, "MOST_BYTES", 5000)
    asked(tmp_path, problem())
    assert sorted(file for file in tmp_path.iterdir() if file.name[:2] != "od" and len(file.name) < 40) == sorted(
        foreign
    )
    assert not (tmp_path / "odecheck-1a_2.part").exists()


def test_without_a_folder_nothing_is_kept_and_all_is_counted():
    with kept_in(None) as counted:
        flow.trajectories(problem(), 0)
        flow.trajectories(problem(), 0)
    assert (counted.made, counted.read) == (2, 0)


def test_an_error_is_no_answer(tmp_path: Path):
    @kept(4)
    def refused(x: float) -> float:
        raise ArithmeticError(x)

    with kept_in(tmp_path), pytest.raises(ArithmeticError):
        refused(1.0)
    assert not list(tmp_path.iterdir())


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ODECHECK_REFERENCES", "/somewhere/else")
    assert str(default_folder()) == "/somewhere/else"
    monkeypatch.delenv("ODECHECK_REFERENCES")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert str(default_folder()) == "/cache/odecheck/references"


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch):
    for name in ("ODECHECK_REFERENCES", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    assert default_folder() is None
    with kept_in(default_folder()) as counted:
        flow.trajectories(problem(), 0)
    assert (counted.made, counted.read) == (1, 0)
