"""What tests of costs compute: one problem, the engines that are counted in full, and one that counts elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from odecheck_reference import catalogue

from odecheck import Adaptive, Subject
from odecheck.cost import pose
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.errors import Unsupported
from odecheck.instruments import told as tally
from odecheck.subject import SHIPPED

PROBLEM = catalogue.quick()[2]
ENGINES = [Backprop(), Adjoint(), Closed(), Discrete()]


def posed(engine, quantity="gradient", solver=None, problem=PROBLEM, **how):
    return pose(Subject(SHIPPED, solver or Adaptive("dopri5", rtol=1e-5), engine), problem, quantity, **how)


@dataclass(frozen=True)
class Elsewhere:
    """An engine whose library evaluates the field in another framework, and reports some of its counts."""

    name: str = "elsewhere"
    target: Literal["flow", "steps"] = "flow"

    def solution(self, module, solver, y0, ts):
        tally.tell(accepted_forward=7, rejected_forward=1)
        return y0.expand(len(ts), *y0.shape)

    def gradient(self, module, solver, y0, ts, loss):
        raise Unsupported("no gradient")
