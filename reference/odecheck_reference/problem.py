"""A problem: a vector field, a start, parameters, times and a loss. Everything a claim speaks about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .bounded import Array
from .fields.field import Field
from .losses import Loss, RunningCost

if TYPE_CHECKING:
    from jaxtyping import Float64


class ProblemError(ValueError):
    """A problem that is not well posed: the message says what was seen, the usual cause and what to change."""


@dataclass(frozen=True, eq=False)
class Problem:
    """y' = F(t, y, theta), y(ts[0]) = y0, observed at `ts` through L = loss(y(ts)) + ∫ running dt.

    Attributes:
        name: what reports call it.
        field: F, with its derivatives.
        y0: the start of every row.
        theta: the parameters, shared by all rows.
        ts: the times, at least two, strictly increasing or strictly decreasing; ts[0] is the start.
        loss: a function of all observed states (times, batch, state).
        running: an integral term from ts[0] to ts[-1], or None.
        breaks: times at which F is not smooth in time (a jump, a kink, the edge of a pulse), sorted or not: all
            integrations end there.
        source: where the problem is from.
        independent: False when F is computed by the very library under test.

    Raises:
        ProblemError: shapes that do not match, values that are not finite, times that are not monotone.
    """

    name: str
    field: Field
    y0: Float64[Array, "batch state"]
    theta: Float64[Array, " params"]
    ts: Float64[Array, " times"]
    loss: Loss
    running: RunningCost | None = None
    source: str = ""
    independent: bool = True
    breaks: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for label in ("y0", "theta", "ts"):
            array = np.array(getattr(self, label), dtype=np.float64, order="C")
            array.flags.writeable = False
            object.__setattr__(self, label, array)
            if not np.isfinite(array).all():
                raise ProblemError(
                    f"problem {self.name!r}: {label} has a value that is not finite: {array}. Give finite numbers."
                )
        object.__setattr__(self, "breaks", tuple(float(at) for at in self.breaks))
        if not np.isfinite(self.breaks).all():
            raise ProblemError(
                f"problem {self.name!r}: breaks {self.breaks} has a value that is not finite. Give the times at which "
                "the field is not smooth, as numbers; those outside of the times of the problem do nothing."
            )
        self._check_shapes()

    def _check_shapes(self) -> None:
        if self.y0.ndim != 2 or self.y0.shape[1] != self.field.state:
            raise ProblemError(
                f"problem {self.name!r}: y0 has shape {self.y0.shape}, the field has {self.field.state} states. "
                "y0 is (batch, state); for a single row write y0[None, :]."
            )
        if self.theta.shape != (self.field.params,):
            raise ProblemError(
                f"problem {self.name!r}: theta has shape {self.theta.shape}, the field has {self.field.params} "
                "parameters. Flatten the parameters in the order of the module's parameters()."
            )
        steps = np.diff(self.ts)
        if self.ts.ndim != 1 or len(self.ts) < 2 or not ((steps > 0).all() or (steps < 0).all()):
            raise ProblemError(
                f"problem {self.name!r}: times {self.ts} are not strictly monotone. Sort them and drop "
                "repetitions: np.unique(ts), or np.unique(ts)[::-1] to go backwards."
            )
        self.loss.check(self.observations)

    @property
    def batch(self) -> int:
        """How many rows there are."""
        return self.y0.shape[0]

    @property
    def observations(self) -> tuple[int, int, int]:
        """Shape of the observed states: (times, batch, state)."""
        return (len(self.ts), *self.y0.shape)

    def restarted(self, first: int, y: Float64[Array, "batch state"]) -> Problem:
        """The part of the problem from one of its times on, with the observations that remain.

        Args:
            first: the index of that time in `ts`.
            y: the state there.
        """
        return self.with_(name=f"{self.name} from t[{first}]", y0=y, ts=self.ts[first:], loss=self.loss.tail(first))

    def with_(self, **changes: object) -> Problem:
        """The same problem with some attributes changed (and checked again).

        Args:
            **changes: attributes by name.

        Raises:
            ProblemError: the changed problem is not well posed.
        """
        return replace(self, **changes)  # type: ignore[arg-type]
