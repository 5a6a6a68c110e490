"""The optimizers of the comparisons, by name: what each is made of, and one state to save."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from odecheck.errors import BadInput

from .end_time import EndTime

MOMENTUM = 0.9
# Knobs beside the learning rate. SNOpt's are the paper's ε and period, of the published rule, with all layers, as in
# its image classification; no radius: a bound on the step of one optimizer alone would be no fair comparison.
DEFAULT: Mapping[str, Mapping[str, float]] = {
    "sgd": {"momentum": MOMENTUM},
    "adam": {"beta1": 0.9, "beta2": 0.999},
    "snopt": {"momentum": MOMENTUM, "damping": 0.05, "refresh": 100},
}
OPTIMIZERS = tuple(DEFAULT)


class Stepper:
    """An optimizer of torch, for "snopt" behind `odecheck.optim.SNOpt`; beside it whoever moves the end time.

    Args:
        name: one of `OPTIMIZERS`.
        module: the model.
        rate: the learning rate.
        end: who moves the end time, if anybody does.
        knobs: others than the `DEFAULT` ones.

    Raises:
        BadInput: an unknown name or knob, or a learning rate that is not positive.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        rate: float,
        end: EndTime | None = None,
        knobs: Mapping[str, float] | None = None,
    ) -> None:
        if name not in OPTIMIZERS:
            raise BadInput(f"there is no optimizer {name!r}", "a misspelt name", f"one of: {', '.join(OPTIMIZERS)}")
        if not rate > 0:
            raise BadInput(f"the learning rate is {rate}", "a sign or a unit", "--rate with a positive number")
        self.end = end
        parameters = [p for p in module.parameters() if p.requires_grad and (end is None or p is not end.T)]
        more = {**DEFAULT[name], **(knobs or {})}
        unknown = set(more) - set(DEFAULT[name])
        if unknown:
            raise BadInput(f"{name} has no knob {min(unknown)!r}", "a knob of another one", ", ".join(DEFAULT[name]))
        self.inner: torch.optim.Optimizer = (
            torch.optim.Adam(parameters, lr=rate, betas=(more["beta1"], more["beta2"]))
            if name == "adam"
            else torch.optim.SGD(parameters, lr=rate, momentum=more["momentum"])
        )
        self.precondition: Any = None
        if name == "snopt":
            from odecheck.optim import SNOpt

            self.precondition = SNOpt(module, damping=more["damping"], refresh=int(more["refresh"]), layers="all")

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
