"""A training script, run as it is until it has made the steps that are to be watched."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch.optim.optimizer import register_optimizer_step_pre_hook

from .interception import intercepted
from .step import BUDGET, Step


@dataclass
class Watched:
    """What was seen of a script. failure: its own exception as text, where it ended with one."""

    steps: list[Step] = field(default_factory=list)
    failure: str = ""


class _Enough(BaseException):
    """The steps asked for were made: the script is left. No Exception, so that no script catches it."""


class _Watcher:
    """Ends a step where an optimizer is about to move the parameters, or where the script ends."""

    def __init__(self, wanted: int, budget: float) -> None:
        self.wanted, self.budget, self.seen = wanted, budget, Watched()
        self.step = Step(True, budget)

    def reached(self, *args: Any) -> Any:
        """A call of a solver."""
        return self.step._reached(*args)

    def ended(self) -> None:
        """Keep a step in which something was solved, and begin the next."""
        if self.step.calls:
            self.step._ended()
            self.seen.steps.append(self.step)
            self.step = Step(True, self.budget)

    def before_the_optimizer(self, *_: Any) -> None:
        """Raises _Enough after the last step that was asked for."""
        self.ended()
        if len(self.seen.steps) >= self.wanted:
            raise _Enough


def watch_script(script: Path, arguments: Sequence[str] = (), *, steps: int = 1, budget: float = BUDGET) -> Watched:
    """Run a script as `python script arguments` does, and watch its first training steps.

    A step ends where an optimizer of torch is about to move parameters; steps without a solve do not count. The script
    is left after the last one: what it does afterwards, it does not do.

    Args:
        script: a Python file.
        arguments: its own.
        steps: how many of its steps are watched.
        budget: seconds of process time that judging one step may take.

    Returns:
        The steps, not judged yet. An exception of the script is text in `failure`.

    Example:
        `watch_script(Path("train.py"), ["--epochs", "1"]).steps[0].rows`
    """
    watcher = _Watcher(steps, budget)
    argv, path = sys.argv, list(sys.path)
    sys.argv, sys.path[:] = [str(script), *arguments], [str(script.resolve().parent), *path]
    hook = register_optimizer_step_pre_hook(watcher.before_the_optimizer)
    try:
        with intercepted(watcher.reached):
            runpy.run_path(str(script), run_name="__main__")
    except (_Enough, SystemExit):
        pass
    except Exception:
        watcher.seen.failure = traceback.format_exc()
    finally:
        hook.remove()
        sys.argv, sys.path[:] = argv, path
    watcher.ended()
    return watcher.seen
