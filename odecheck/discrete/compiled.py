"""Steps and their derivatives by compiled graphs, while Python keeps the control of the step sizes.

A graph is believed only where the eager field agrees: when it is made with all derivatives of a step, and at every
solve with the slopes of the first and the last step. A doubt ends the compiled solve; the caller then goes on without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from odecheck import compat

from .capturable import Doubt
from .one_step import Compile, Graphs, OneStep, Values, saying
from .pulls import agree, pull
from .stepping import Field, Step, Stepper, on_device
from .tableau import Tableau

Span = tuple[float, float, float]
Times = tuple[float, ...]

STALE = (
    "the compiled step does not give the field's own slopes at the {} step (something that the field looks up outside "
    "of its modules has changed, or the field depends on more than time, state and parameters)"
)


class CompiledStepper(Stepper):
    """Takes steps by compiled graphs, and keeps of every accepted one what its derivatives need."""

    def __init__(
        self, field: Field, tableau: Tableau, like: Tensor, clock: int, parameters: Mapping[str, Tensor], how: Compile
    ) -> None:
        super().__init__(field, tableau, like, clock)
        self.one = OneStep(self, parameters)
        self.how: Compile = how
        self.stale, self.last, self.base = like.reshape(-1), Values(), Values()
        self.kept: list[Values] = []
        self.taken: Step | None = None
        self.graphs: Graphs | None = None

    def step(self, span: Span, times: Times, y: Tensor, first: Tensor | None) -> Step:
        """As `Stepper.step`.

        Raises:
            Doubt: the graphs cannot be made, or do not give the field's slopes.
        """
        clocked = times if self.clock > 0 else tuple(-time for time in times)
        at = on_device((span[2], *clocked), self.dtype, self.device)
        x = torch.stack([y, self.stale]) if self.tableau.carries else y
        x = x.view(-1, *self.shape)
        if self.graphs is not None:
            return self._take(self.graphs, (at, x), span, times, y)
        self.graphs, fresh = self.one.graphs(x, 0, self.how)
        self.base = base_of(self.one, self.graphs)
        with saying("its compiled step does not run"):
            taken = self._take(self.graphs, (at, x), span, times, y)
        eager = super().step(span, times, y, first if self.tableau.carries else None)
        self._believe(taken.k, eager.k, "first")
        self._believe(taken.end, eager.end, "first")
        if fresh:
            with saying("its compiled derivatives do not run"):
                verify(self.one, self.graphs, self.base, self.last, 0)
        return taken

    def _take(self, graphs: Graphs, given: tuple[Tensor, Tensor], span: Span, times: Times, y: Tensor) -> Step:
        values = dict(zip(graphs.inputs, given, strict=False))
        (end, slopes), kept = graphs.run("step", {**self.base, **values})
        self.last = {**values, **kept}
        self.taken = Step(*span, times, y, slopes, end[0].reshape(-1), end[-1].reshape(-1), slopes[-1])
        return self.taken

    def keep(self, step: Step) -> None:
        """The step taken last was accepted."""
        self.kept.append(self.last)
        self.stale = step.last_point

    def finished(self, observed: Sequence[int]) -> CompiledSteps:
        """All steps, once the last one agrees with the field.

        Raises:
            Doubt: it does not.
        """
        assert self.graphs is not None and self.taken is not None
        last, s = self.taken, self.tableau.stages - 1
        point = torch.addmv(last.y, last.k[:s].t(), self.rows[s], alpha=last.size) if s else last.y
        self._believe(last.k[s], self.evaluate(last.times[s], point), "last")
        return CompiledSteps(self.one, self.how, self.graphs, self.base, self.kept, tuple(observed))

    def _believe(self, found: Tensor, eager: Tensor, which: str) -> None:
        if not agree(found, eager):
            self.one.forget()
            raise Doubt(STALE.format(which))


def base_of(one: OneStep, graphs: Graphs) -> Values:
    """The tensors that every step reads, by name."""
    theta = [p.detach() for p in one.tensors]
    return dict(zip((*graphs.parameters, *graphs.rest), (*theta, *one.rest), strict=True))


def verify(one: OneStep, graphs: Graphs, base: Values, values: Values, count: int) -> None:
    """Compare all parts on one step with automatic differentiation of the eager field.

    Args:
        one: the step.
        graphs: its graphs, just made.
        base: tensors that every step reads.
        values: what was kept of the step, its times and x among it.
        count: directions at once, or 0 for one.

    Raises:
        Doubt: they differ.
    """
    batch, draws = (count,) if count else (), torch.Generator().manual_seed(0)
    at, x = (values[name] for name in graphs.inputs[:2])

    def drawn(like: Tensor, *shape: int) -> Tensor:
        return torch.randn((*shape, *like.shape), generator=draws, dtype=like.dtype).to(like.device)

    adjoint, dx, second = drawn(x), drawn(x, *batch), drawn(x, *batch)
    along = [drawn(p, *batch) for p in one.tensors]
    given = dict(zip(graphs.inputs[2:], (dx, adjoint, second), strict=True))
    values = {**base, **values, **given, **dict(zip(graphs.directions, along, strict=True))}
    found: list[Tensor] = []
    for name in ("tangent", "adjoint", "second"):
        results, kept = graphs.run(name, values)
        values |= kept
        found += (
            results if name == "adjoint" or count else [r if name == "adjoint" else r.unsqueeze(0) for r in results]
        )
    shaped = [v if count else v.unsqueeze(0) for v in (dx, second, *along)]
    expected = _by_autograd(one, (at, x), adjoint, shaped)
    if not all(agree(a, b) for a, b in zip(found, expected, strict=True)):
        one.forget()
        raise Doubt("the compiled derivatives of the first step are not those of automatic differentiation")


def _by_autograd(one: OneStep, at: tuple[Tensor, Tensor], adjoint: Tensor, given: list[Tensor]) -> list[Tensor]:
    """The same for directions (D, …), with double backward for the tangent: [ẋ⁺, λ₀, g, μ₀, ġ]."""
    dx, second, *along = given
    inputs = [at[1].detach().requires_grad_(), *(p.detach().requires_grad_() for p in one.tensors)]
    with torch.enable_grad():
        end, _ = one(at[0], inputs[0], inputs[1:], one.rest, one.stepper.tableau.effective())
        weight = torch.zeros_like(end).requires_grad_()
        weighted = [g[0] for g in pull([end], inputs, [weight.unsqueeze(0)], graph=True)]
        slopes = [g[0] for g in pull([end], inputs, [adjoint.unsqueeze(0)], graph=True)]
    tangent = pull(weighted, [weight], [dx, *along])[0]
    bent = pull([*slopes, end], inputs, [dx, *along, second])
    return [tangent, *(g.detach() for g in slopes), *bent]


class CompiledSteps:
    """The accepted steps with what their graphs kept.

    Attributes:
        kept: of every step what its graphs have read and kept.
    """

    def __init__(
        self,
        one: OneStep,
        how: Compile,
        graphs: Graphs,
        base: Values,
        kept: list[Values],
        observed: tuple[int, ...],
    ) -> None:
        self.one, self.graphs, self.base, self.kept, self.observed = one, graphs, base, kept, observed
        self.how: Compile = how
        self.rest = [(name, x, x._version) for name, x in one.others.items()]

    def unchanged(self) -> None:
        """Refuse buffers and frozen parameters that were changed in place since the steps were taken.

        Raises:
            ValueError: one was.
        """
        changed = [name for name, x, version in self.rest if x._version != version]
        if changed:
            raise ValueError(f"{', '.join(changed)} changed in place since the steps were recorded: record them again")

    @torch.no_grad()
    def gradient(self, cotangents: Tensor) -> list[Tensor]:
        """Cotangents of the solution (times, *state) → [in y0, in every parameter]."""
        self.unchanged()
        found, _ = self._backwards(self.graphs, "adjoint", self._steps(self.graphs, {}), cotangents)
        return found

    @torch.no_grad()
    def tangents(self, start: Tensor, along: Sequence[Tensor]) -> Tensor:
        """Directions (D, *state) and a list of (D, *parameter) → tangents of the solution (D, times, *state).

        Raises:
            Doubt: graphs for so many directions cannot be made.
        """
        self.unchanged()
        if len(start) == 1:
            graphs, steps = self._for(0, [u[0] for u in along])
            return self._forwards(graphs, steps, start[0]).unsqueeze(0)
        graphs, steps = self._for(len(start), along)
        return self._forwards(graphs, steps, start)

    def products(
        self, loss: tuple[Tensor, Tensor, Tensor], start: Tensor, along: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The gradient and the Hessian's products with D directions.

        Args:
            loss: (its value, the solution as a leaf, the loss's gradient there with its graph).
            start: (D, *state) directions of the start.
            along: list of (D, *parameter).

        Returns:
            [in y0, in every parameter], and the same of every product (D, …).

        Raises:
            Doubt: graphs for so many directions cannot be made.
        """
        self.unchanged()
        _, solution, slope = loss
        count = 0 if len(start) == 1 else len(start)
        start, along = (start, along) if count else (start[0], [u[0] for u in along])
        with torch.no_grad():
            graphs, steps = self._for(count, along)
            first, steps = self._backwards(graphs, "adjoint", steps, slope.detach())
            tangents = self._forwards(graphs, steps, start)
        bent = pull([slope], [solution], [tangents if count else tangents.unsqueeze(0)])[0]
        with torch.no_grad():
            second, _ = self._backwards(graphs, "second", steps, bent if count else bent[0])
        return first, second if count else [g.unsqueeze(0) for g in second]

    def _for(self, count: int, along: Sequence[Tensor]) -> tuple[Graphs, list[Values]]:
        """The graphs for that number of directions, and the steps as those graphs keep them."""
        if not count:
            return self.graphs, self._steps(self.graphs, self._along(self.graphs, along))
        one, names = self.one, self.graphs.inputs[:2]
        graphs, fresh = one.graphs(self.kept[0][names[1]], count, self.how)
        base, steps = base_of(one, graphs), list[Values]()
        for kept in self.kept:
            values = dict(zip(graphs.inputs, (kept[name] for name in names), strict=False))
            _, more = graphs.run("step", {**base, **values})
            steps.append({**values, **more})
            if fresh and len(steps) == 1:
                with saying("its compiled derivatives do not run"):
                    verify(one, graphs, base, steps[0], count)
        return graphs, [{**base, **step, **self._along(graphs, along)} for step in steps]

    def _along(self, graphs: Graphs, along: Sequence[Tensor]) -> Values:
        return dict(zip(graphs.directions, (u.contiguous() for u in along), strict=True))

    def _steps(self, graphs: Graphs, more: Values) -> list[Values]:
        return [{**self.base, **kept, **more} for kept in self.kept]

    def _forwards(self, graphs: Graphs, steps: list[Values], start: Tensor) -> Tensor:
        """Tangents of the solution; what the later parts need of them is added to the steps."""
        axis = start.ndim - len(self.one.stepper.shape)
        x = torch.stack([start] * (1 + self.one.stepper.tableau.carries), dim=axis)
        states = [start]
        for step in steps:
            step[graphs.inputs[2]] = x
            (x,), kept = graphs.run("tangent", step)
            step |= kept
            states.append(x.select(axis, 0))
        return torch.stack([states[i] for i in self.observed], dim=axis)

    def _backwards(
        self, graphs: Graphs, part: str, steps: list[Values], cotangents: Tensor
    ) -> tuple[list[Tensor], list[Values]]:
        """Adjoints of cotangents ([D,] times, *state): ([in y0, in every parameter], the steps with what was kept)."""
        axis, carries = cotangents.ndim - len(self.one.stepper.shape) - 1, self.one.stepper.tableau.carries
        seeds = graphs.inputs[3 if part == "adjoint" else 4]
        jumps = {at: jump.unsqueeze(axis) for at, jump in zip(self.observed, cotangents.unbind(axis), strict=True)}
        if carries:
            jumps = {at: torch.cat([jump, torch.zeros_like(jump)], dim=axis) for at, jump in jumps.items()}
        x, total = torch.zeros_like(jumps[0]), list[Tensor]()
        for i in range(len(steps), 0, -1):
            step = steps[i - 1]
            step[seeds] = x + jumps[i] if i in jumps else x
            (x, *gains), kept = graphs.run(part, step)
            step |= kept
            total = [*gains] if not total else compat.added(total, gains)
        return [(x + jumps[0]).sum(axis), *total], steps
