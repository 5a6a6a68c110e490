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
from typing import Any, cast

from odecheck.errors import BadInput
from odecheck.training.task import Task


def every() -> dict[str, Task]:
    """All tasks: what the modules of this folder have in their tuples `TASKS`.

    Returns:
        name → task, in the order of the modules' names.

    Raises:
        TypeError: something among `TASKS` that is no task, or two tasks of one name.
    """
    found: dict[str, Task] = {}
    where: dict[str, str] = {}
    for module in (import_module(f"{__name__}.{one.name}") for one in iter_modules(__path__)):
        declared: Any = getattr(module, "TASKS", ())
        tuples = isinstance(declared, tuple)
        named = cast(tuple[Any, ...], declared if tuples else (declared,))
        for task in named:
            if not tuples or not isinstance(task, Task):
                raise TypeError(
                    f"TASKS of {module.__name__} is no tuple of tasks: there is a {type(task).__name__}\n"
                    "  usual cause: a class in place of a task, or a task without a comma after it\n"
                    "  what to type: TASKS = (MyTask(name=..., summary=..., source=..., settings=(...)),)"
                )
            if task.name in found:
                raise TypeError(
                    f"{where[task.name]} and {module.__name__} both have a task {task.name!r}\n"
                    "  usual cause: a file that was copied\n"
                    "  what to type: another name for one of the two"
                )
            found[task.name], where[task.name] = task, module.__name__
    return found


def find(name: str) -> Task:
    """A task by its name.

    Raises:
        BadInput: there is no such task.
    """
    known = every()
    if name not in known:
        raise BadInput(f"there is no task {name!r}", "a misspelt name", f"one of: {', '.join(sorted(known))}")
    return known[name]
