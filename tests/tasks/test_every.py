"""Tasks are found by looking into their folder; what is declared wrongly or twice is refused in words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from odecheck import tasks
from odecheck.errors import BadInput
from odecheck.tasks import spheres


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file beside the tasks that ship."""
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    yield tmp_path / "added_by_a_test.py"
    sys.modules.pop("odecheck.tasks.added_by_a_test", None)


def test_a_new_task_is_one_file(made: Path) -> None:
    made.write_text(
        "from dataclasses import replace\nfrom .spheres import TASKS as SPHERES\n"
        "TASKS = (replace(SPHERES[0], name='shells'),)\n"
    )
    assert tasks.find("shells") == replace(spheres.TASKS[0], name="shells")
    with pytest.raises(BadInput, match="there is no task 'shell'"):
        tasks.find("shell")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "from .spheres import Spheres\nTASKS = (Spheres,)",
            r"TASKS of .*added_by_a_test is no tuple of tasks: there is a \w+\n.*\n.*TASKS =",
        ),
        (
            "from .spheres import TASKS as X\nTASKS = (X[0])",
            r"no tuple of tasks: there is a Spheres\n.* without a comma",
        ),
        ("TASKS = ('spheres')", r"there is a str\n  usual cause: .*\n  what to type: TASKS ="),
        ("from .spheres import TASKS", r"spheres and .*added_by_a_test both have a task 'spheres'\n.*\n  what to type"),
    ],
)
def test_a_wrong_declaration_is_refused_in_words(made: Path, text: str, says: str) -> None:
    made.write_text(text)
    with pytest.raises(TypeError, match=says):
        tasks.every()
