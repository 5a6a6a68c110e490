"""Wrong subjects by tables: where a mistake is made × what it is × how large it is, in place of copies by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from odecheck.engines.base import Engine
from odecheck.errors import NotApplicable
from odecheck.mutants.base import wrong_engine


def _long(engine: Engine, module: nn.Module, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    if "max_step" not in getattr(solver, "options", {}):
        raise NotApplicable("no longest step is asked for")
    options = {name: value for name, value in solver.options.items() if name != "max_step"}
    return engine.solution(module, replace(solver, options=options), y0, ts)


LONG_STEPS = wrong_engine("the longest step that is asked for is exceeded", solution=_long)
