"""A problem's field on flat states, as the families of first-order answers ask it."""

from __future__ import annotations

import numpy as np

from .bounded import Array
from .fields.pulled import Pulled, pull
from .path import OutOfBudget
from .problem import Problem

# evaluations of all runs together
BUDGET = 120_000
# beyond so many sensitivities the adjoint is the quicker way, and the multistep family has no room for n² numbers
FORWARD = 4_000


def is_large(problem: Problem) -> bool:
    """Whether first derivatives are had by the adjoint: forward sensitivities would be too many numbers.

    Args:
        problem: what is asked about.
    """
    d, p = problem.field.state, problem.field.params
    return problem.batch * d * (d + p) > FORWARD


class Flat:
    """A field on states (n,), n = batch · state, with its evaluations counted.

    Args:
        problem: whose field it is.
        breaks: times at which solves end, where the field is not smooth.
        budget: evaluations that are allowed.
    """

    def __init__(self, problem: Problem, breaks: tuple[float, ...], budget: int = BUDGET) -> None:
        self.problem, self.breaks, self.budget, self.spent = problem, breaks, budget, 0
        self.start: Array = problem.y0.ravel().copy()
        self.times: Array = problem.ts

    def _rows(self, x: Array) -> Array:
        self.spent += 1
        if self.spent > self.budget:
            raise OutOfBudget(f"more than {self.budget} evaluations of the field")
        return x.reshape(self.problem.y0.shape)

    def f(self, t: float, y: Array) -> Array:
        """The slope, (n,)."""
        return self.problem.field.jet(t, self._rows(y), self.problem.theta, 0).value.ravel()

    def pulled(self, t: float, y: Array, a: Array) -> Pulled:
        """F and aᵀ dF/dz."""
        return pull(self.problem.field, t, self._rows(y), self.problem.theta, a.reshape(self.problem.y0.shape))

    def pull(self, t: float, y: Array, a: Array) -> Array:
        """aᵀ ∂f/∂y, (n,)."""
        return self.pulled(t, y, a).y.ravel()

    def gather(self, t: float, y: Array, a: Array) -> dict[str, Array]:
        """aᵀ ∂f/∂theta by the name "theta"; nothing of a field without parameters."""
        return {"theta": self.pulled(t, y, a).theta} if self.problem.field.params else {}

    def zeros(self) -> dict[str, Array]:
        """Zeros for the parameters, likewise."""
        return {"theta": np.zeros(self.problem.field.params)} if self.problem.field.params else {}

    def cotangents(self, y: Array) -> Array:
        """States (times, n) → dL/dy at each time, (times, n)."""
        return self.problem.loss.gradient(y.reshape(self.problem.observations)).reshape(len(y), -1)
