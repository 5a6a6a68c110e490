"""A vector field as a layer of a network: solved over a span of time, in a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
import torchdiffeq  # pyright: ignore[reportMissingTypeStubs]
from torch import Tensor, nn

from odecheck.solvers import Adaptive, OdeInt, Solver

from .parts import FieldError, PartedField

if TYPE_CHECKING:
    from jaxtyping import Float

ADJOINT = cast(OdeInt, cast(Any, torchdiffeq).odeint_adjoint)
DEFAULT_SOLVER: Solver = Adaptive("dopri5", rtol=1e-5)


class NODELayer(nn.Module):
    """x ↦ y(t1), where y' = field(t, y) and y(t0) is built from x.

    Args:
        field: a `PartedField` (NODE, HBNODE, …), whose first part starts at x; or any module called as
            field(t, y).
        start: part → a network that gives its initial value from x, as an initial velocity network {"m": net};
            the parts not named start at zero. For AdamNODE's "v" end it with a softplus: v(0) < 0 is refused.
        span: (t0, t1).
        part: the part that is given out, by default the whole state.
        solver: how it is solved.
        odeint: how it is differentiated: torchdiffeq's `odeint_adjoint` or `odeint`, or `odecheck.odeint`.

    Attributes:
        end: a parameter of shape () in the place of t1, where that is to be trained; None without one.

    Raises:
        FieldError: parts that the field does not have or that do not fit.
    """

    def __init__(
        self,
        field: nn.Module,
        *,
        start: Mapping[str, nn.Module] | None = None,
        span: tuple[float, float] = (0.0, 1.0),
        part: str | None = None,
        solver: Solver = DEFAULT_SOLVER,
        odeint: OdeInt = ADJOINT,
    ) -> None:
        super().__init__()
        named = dict(start or {})
        expected: tuple[str, ...] = field.parts.names if isinstance(field, PartedField) else ()
        unknown = {*named, *([part] if part else [])} - set(expected)
        if unknown or (expected and expected[0] in named):
            raise FieldError(
                f"{type(field).__name__} has the parts {expected}, of which the first starts at x; "
                f"asked for part {part!r} and initial networks for {sorted(named)}"
            )
        self.field = field
        self.initial = nn.ModuleDict(named)
        self.span, self.part, self.solver, self.odeint = span, part, solver, odeint
        self.end: nn.Parameter | None = None

    def forward(self, x: Float[Tensor, " batch *features"]) -> Float[Tensor, " batch *out"]:
        """The state, or its part, at t1 for a start built from x."""
        begin = {name: net(x) for name, net in self.initial.items()}
        y0 = self.field.start(x, **begin) if isinstance(self.field, PartedField) else x
        times = torch.tensor(self.span, dtype=y0.dtype, device=y0.device)
        if self.end is not None:
            times = torch.stack([times[0], self.end.to(times)])
        y = self.solver.solve(self.odeint, self.field, y0, times)[-1]
        return pick(self.field, self.part, y)


def pick(field: nn.Module, part: str | None, y: Tensor) -> Tensor:
    """A part of a state by its name; None for the whole of it."""
    if part is None:
        return y
    assert isinstance(field, PartedField)
    return field.parts.split(y)[field.parts.names.index(part)]
