"""Training tasks with real data: one file each, found by itself.

from odecheck import tasks
from odecheck.training.loop import Trial, train

task = tasks.find("spheres")
setting = task.setting()
for row in train(Trial(task, setting, "HBNODE", "adam", seed=0), task.load(None, setting)):
    print(row.step, row.split, row.loss, row.nfe_forward, row.nfe_backward)
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from odecheck.training.task import Task


def every() -> dict[str, Task]:
    """All tasks by name: what the modules of this folder have in their tuples `TASKS`."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    return {task.name: task for module in modules for task in getattr(module, "TASKS", ())}


def find(name: str) -> Task:
    """A task by its name. Raises BadInput for one that is not there."""
    known = every()
    if name not in known:
        from odecheck.errors import BadInput

        raise BadInput(f"there is no task {name!r}", "a misspelt name", f"one of: {', '.join(sorted(known))}")
    return known[name]
