"""A user's own module is code and run; what it does while it is read is said in words."""

import os
from pathlib import Path

import pytest

from odecheck.errors import BadInput
from odecheck.runner.imports import imported, without_end

BODIES = {
    "leaves": ("import sys; sys.exit(0)", r"does not import: SystemExit: 0"),
    "vanishes": ("import os; os._exit(0)", r"does not import: SystemExit: os._exit\(0\)"),
    "mute": ("class E(Exception):\n  def __str__(self): raise E\nraise E", "does not import: E: a E whose text raises"),
    "odd": ("class A:\n  @property\n  def x(self): raise ValueError('no')\nsubjects = A()", "raised ValueError: no"),
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", BODIES)
def test_what_it_raises_is_said(name):
    body, said = BODIES[name]
    Path(f"a_model_that_{name}.py").write_text(body)
    with pytest.raises(BadInput, match=said) as caught:
        imported(f"a_model_that_{name}.py:subjects.x")
    assert caught.value.fix


@pytest.mark.parametrize(
    "target", ["m.pyc:x", "m.pyc", "loop.py:x", "fifo.py:x", ":x", "..:x", ".x:y", "a b:c", "\udcff.py:x"]
)
def test_what_is_no_module_is_refused(target):
    Path("m.pyc").write_bytes(b"junk")
    Path("m.py").write_text("")
    Path("loop.py").symlink_to("loop.py")
    os.mkfifo("fifo.py")
    with pytest.raises(BadInput):
        imported(target)


def test_the_end_of_a_process_is_its_end_again_afterwards():
    before = os._exit
    with pytest.raises(SystemExit, match="3"), without_end():
        os._exit(3)
    assert os._exit is before
