"""ODE-RNN (arXiv:1907.04907): a state that flows between irregular observations and jumps at each of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from odecheck.solvers import OdeInt, Solver

from .bound import Bound
from .layer import ADJOINT, DEFAULT_SOLVER
from .parts import FieldError, PartedField


class Stretched(nn.Module):
    """dy/ds = length * F(begin + s * length, y): with s from 0 to 1 each row crosses an interval of its own.

    Called as module(s, y, begin, length), the last two with a number for each row, into which no gradient flows.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, s: Tensor, y: Tensor, begin: Tensor, length: Tensor) -> Tensor:
        axes = (-1, *[1] * (y.dim() - 1))
        begin, length = begin.reshape(axes), length.reshape(axes)
        return length * self.inner(begin + s * length, y)


class LinearJump(nn.Module):
    """h ↦ W (h, x) + b."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden + features, hidden)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        return self.linear(torch.cat([h, x], dim=-1))


class GRUJump(nn.Module):
    """h ↦ one step of a gated recurrent unit with input x."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(features, hidden)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        return self.cell(x, h)


class States(NamedTuple):
    """States (batch, times, state) just before each observation, which is the forecast, and after it."""

    before: Tensor
    after: Tensor


class ODERNN(nn.Module):
    """Between observations y' = inner(t, y); at each of them one part of y jumps to jump(part, x).

    inner: a `PartedField` on (batch, state), or any module called as inner(t, y). It is called with a time
        for each row, t of shape (batch, 1). The attribute `field` is what is solved, `inner` stretched to intervals.
    jump: called as jump(part, x) → the new part: `LinearJump`, `GRUJump`, or your own.
    hidden: size of the whole state, which starts at zero.
    part: the part that jumps; by default the whole state.
    solver, odeint: how it is solved, and differentiated. All rows share one solve for each interval.
    """

    def __init__(
        self,
        inner: nn.Module,
        jump: nn.Module,
        hidden: int,
        *,
        part: str | None = None,
        solver: Solver = DEFAULT_SOLVER,
        odeint: OdeInt = ADJOINT,
    ) -> None:
        super().__init__()
        if part is not None and not (isinstance(inner, PartedField) and part in inner.parts.names):
            raise FieldError(f"{type(inner).__name__} has no part {part!r} that could jump")
        if isinstance(inner, PartedField):
            inner.parts.slices(hidden)  # refuses a size that does not split
        self.field, self.jump = Stretched(inner), jump
        self.hidden, self.part, self.solver, self.odeint = hidden, part, solver, odeint

    @property
    def inner(self) -> nn.Module:
        return self.field.inner

    def forward(self, t: Tensor, x: Tensor, mask: Tensor | None = None) -> States:
        """States at the observations.

        t: (batch, times), not decreasing along a row; x: (batch, times, features).
        mask: (batch, times), False where nothing was observed (padding): there the state does not jump.
        Raises FieldError for other shapes, decreasing times, or times that ask for a gradient.
        """
        self._check(t, x, mask)
        y = x.new_zeros(len(x), self.hidden)
        before: list[Tensor] = []
        after: list[Tensor] = []
        for i in range(t.shape[1]):
            if i > 0:
                y = self._flow(y, t[:, i - 1], t[:, i])
            before.append(y)
            jumped = self._jump(y, x[:, i])
            y = jumped if mask is None else torch.where(mask[:, i, None], jumped, y)
            after.append(y)
        return States(torch.stack(before, dim=1), torch.stack(after, dim=1))

    def _flow(self, y: Tensor, begin: Tensor, end: Tensor) -> Tensor:
        unit = torch.tensor([0.0, 1.0], dtype=y.dtype, device=y.device)
        return self.solver.solve(self.odeint, Bound(self.field, begin, end - begin), y, unit)[-1]

    def _jump(self, y: Tensor, x: Tensor) -> Tensor:
        if self.part is None:
            return self.jump(y, x)
        assert isinstance(self.inner, PartedField)
        parts, place = list(self.inner.parts.split(y)), self.inner.parts.names.index(self.part)
        parts[place] = self.jump(parts[place], x)
        return self.inner.parts.join(*parts)

    def _check(self, t: Tensor, x: Tensor, mask: Tensor | None) -> None:
        if x.dim() != 3 or t.shape != x.shape[:2] or (mask is not None and mask.shape != t.shape):
            seen = "" if mask is None else f" and mask {tuple(mask.shape)}"
            raise FieldError(
                f"t has shape {tuple(t.shape)}, x {tuple(x.shape)}{seen}; give t (batch, times), "
                "x (batch, times, features) and mask (batch, times)"
            )
        if t.requires_grad:
            raise FieldError("the times ask for a gradient, and none flows into them here: give t.detach()")
        backwards = (t.diff(dim=1) < 0).any(dim=1)
        if bool(backwards.any()):
            rows = backwards.nonzero().flatten().tolist()
            raise FieldError(
                f"times decrease in rows {rows[:5]}: sort each row; in padding repeat its last time "
                "and set the mask to False"
            )
