"""How a subject's library is called: what its declaration says, with the keywords that the solver gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.engines.found import declared_name, library_of
from odecheck.engines.script_call import Call
from odecheck.errors import BadInput, Unsupported
from odecheck.solvers import Solver
from odecheck.subject import Subject


@dataclass
class _Asked:
    how: dict[str, Any] = field(default_factory=dict[str, Any])


def arguments(solver: Solver, ts: Tensor) -> dict[str, Any]:
    """What a solver of odecheck hands to the library's function, beside field, start and times."""
    asked = _Asked()

    def spy(module: Any, y0: Tensor, times: Tensor, **how: Any) -> Tensor:
        asked.how = how
        return y0.new_zeros(len(times))

    solver.solve(spy, nn.Identity(), torch.zeros(1, 1, dtype=torch.float64), ts)
    return asked.how


def call(subject: Subject, ts: Tensor) -> Call:
    """How the subject's library is called. Raises BadInput for an engine without a text, Unsupported as engines do."""
    how = arguments(subject.solver, ts)
    # what is left out is the library's default, or a budget that is not reached
    options = {k: v for k, v in how.get("options", {}).items() if (k, v) != ("interp", "linear")}
    options.pop("max_num_steps", None)
    engine, library = subject.engine, library_of(subject.engine)
    if library is None or library.script_call is None:
        raise BadInput(
            f"no script is known for {engine.name}",
            "an engine of your own" if library is None else f"library {library.name!r} declares no script_call",
            "odecheck show ROW, which runs the case again with odecheck; or script_call= in the library's declaration",
        )
    if not library.any_steps and "rtol" not in how and "step_size" not in options:
        raise Unsupported(f"{engine.name} takes no steps that are given one by one")
    return library.script_call(declared_name(engine), {k: v for k, v in how.items() if k != "options"}, options)
