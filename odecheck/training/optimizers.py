"""The optimizers of the comparisons, by name: what each is made of, and one state to save."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from odecheck.errors import BadInput

from .end_time import EndTime

OPTIMIZERS = ("sgd", "adam", "snopt")
MOMENTUM = 0.9
# With the authors' ε of 0.05, their period of 100 steps, the fields' layers alone and no radius the trainings here
# stopped at "underflow in dt": on a plateau the curvature is far below ε, and stale when the loss begins to fall.
# ε and radius were chosen by hand on seed 100 of digits-conv, among six pairs. The spectrum is that of the factors: the
# trainings in reports/ are of K-FAC in SNOpt's frame, and not of the published rule, which is `SNOpt`'s default.
SNOPT: dict[str, Any] = {"damping": 0.01, "refresh": 20, "radius": 0.1, "layers": "all", "spectrum": "factors"}


class Stepper:
    """An optimizer of torch, for "snopt" behind `odecheck.optim.SNOpt`; beside it whoever moves the end time.

    Raises BadInput for an unknown name or a learning rate that is not positive.
    """

    def __init__(self, name: str, module: nn.Module, rate: float, end: EndTime | None = None) -> None:
        if name not in OPTIMIZERS:
            raise BadInput(f"there is no optimizer {name!r}", "a misspelt name", f"one of: {', '.join(OPTIMIZERS)}")
        if not rate > 0:
            raise BadInput(f"the learning rate is {rate}", "a sign or a unit", "--rate with a positive number")
        self.end = end
        parameters = [p for p in module.parameters() if p.requires_grad and (end is None or p is not end.T)]
        self.inner: torch.optim.Optimizer = (
            torch.optim.Adam(parameters, lr=rate)
            if name == "adam"
            else torch.optim.SGD(parameters, lr=rate, momentum=MOMENTUM)
        )
        self.precondition: Any = None
        if name == "snopt":
            from odecheck.optim import SNOpt

            self.precondition = SNOpt(module, **SNOPT)

    def zero(self) -> None:
        """Forget the gradients."""
        self.inner.zero_grad(set_to_none=True)

    def measure(self) -> None:
        """After the backward pass, before gradients are clipped: what the end time's next move needs of them."""
        if self.end is not None:
            self.end.measure()

    def step(self) -> None:
        """One step: precondition the gradients where that is asked, then the optimizer's own, then the end time's."""
        if self.precondition is not None:
            self.precondition.step()
        self.inner.step()
        if self.end is not None:
            self.end.step()

    def state(self) -> dict[str, Any]:
        """What `load` takes, for a checkpoint."""
        precondition = None if self.precondition is None else self.precondition.state_dict()
        end = {} if self.end is None else {"end": self.end.state()}
        return {"inner": self.inner.state_dict(), "precondition": precondition, **end}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same optimizer and module."""
        self.inner.load_state_dict(state["inner"])
        if self.precondition is not None:
            self.precondition.load_state_dict(state["precondition"])
        if self.end is not None:
            self.end.load(state["end"])
