"""The end time T of a model's solve in a training: fixed, or moved beside the optimizer of the other parameters θ."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from odecheck.optim.horizon import HorizonDescent, HorizonFeedback


class EndTime:
    """T, who moves it, and how often.

    In a training step: `loss.backward(); end.measure(); optimizer.step(); end.step()`.

    Args:
        T: a parameter of shape (), to which the model solves; of those that the optimizer of θ has it is none.
        policy: moves T; None: nobody does.
        every: steps of θ from one move of T to the next. Slopes are measured at each, and averaged as the policy says.
    """

    def __init__(self, T: Tensor, policy: HorizonDescent | HorizonFeedback | None = None, every: int = 1) -> None:
        self.T, self.policy, self.every, self.measured = T, policy, every, 0

    @property
    def value(self) -> float:
        """T as it is."""
        return float(self.T.detach())

    def measure(self) -> None:
        """After the backward pass, before anything changes gradients: keep T's slope, and clear it."""
        if self.policy is not None:
            self.policy.measure()
            self.measured += 1

    def step(self) -> None:
        """After the step of θ: move T, where it is time."""
        if self.policy is not None and self.measured % self.every == 0:
            self.policy.step()

    def state(self) -> dict[str, Any]:
        """What `load` takes, for a checkpoint; T itself is among the model's parameters."""
        return {"measured": self.measured, "policy": None if self.policy is None else self.policy.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same policy."""
        self.measured = state["measured"]
        if self.policy is not None:
            self.policy.load_state_dict(state["policy"])
