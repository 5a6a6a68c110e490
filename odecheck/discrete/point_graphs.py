"""The field at the stage points of a few steps, as captured and compiled functions: Jacobians, second derivatives.

Of all points of a group of steps at once, the last group filled up, so that one graph serves solves of any number of
steps. Graphs are kept like those of a step, are compared with automatic differentiation of the eager field when they
are made, and give the slopes at the points along with their results: these are compared with the recorded ones at
every use.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, jvp, vjp, vmap

from odecheck import compat

from .capturable import Doubt, NotCompiled, attributes, no_noise
from .captured import capture
from .compiled import CompiledSteps
from .one_step import Compile, compiler, kept_of, saying
from .pulls import agree, pull
from .stage_points import Points, blocks_of, one_by_one, row_weights
from .trajectory import Segment, Trajectory

Found = list[Tensor]
# steps: groups of few leave little to be filled up, and groups of many add the derivatives in θ up less often
GROUPS = {"pulls": 2, "second_pulls": 2, "bends": 4}
STALE = "its compiled derivatives at the stage points do not belong to the field as it is"


class PointGraphs:
    """Functions of (times (p,), points (p, *state), …) of a group; each gives the slopes (p, *state) first."""

    def __init__(self, steps: CompiledSteps) -> None:
        self.one = steps.one
        self.how: Compile = steps.how
        self.n = len(self.one.names)
        self._own: Found = [*(p.detach() for p in self.one.tensors), *self.one.rest]
        names = tuple(self.one.names), attributes(self.one.field)
        self._of = self.how, self.one.stepper.clock, names, _shapes(self._own)

    def _slopes(self, t: Tensor, y: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        theta, rest = list(tensors[: self.n]), list(tensors[self.n :])
        found: Any = vmap(lambda t, y: self.one.slope(t, y, theta, rest))(t, y)
        return found

    def pulls(self, t: Tensor, y: Tensor, weights: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Weights (W, p, *state) → F_yᵀ weight at every point."""
        made: Any = vjp(lambda y: self._slopes(t, y, tensors), y)
        k, back = made
        found: Any = vmap(lambda w: back(w)[0])(weights)
        return k, found

    def second_pulls(
        self, t: Tensor, y: Tensor, weight: Tensor, weights: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        """The weight contracted with F_yy, times weights (W, p, *state)."""

        def weighed(y: Tensor) -> tuple[Tensor, Tensor]:
            k = self._slopes(t, y, tensors)
            return (k * weight).sum(), k

        made: Any = vjp(grad(weighed, has_aux=True), y, has_aux=True)
        _, back, k = made
        found: Any = vmap(lambda w: back(w)[0])(weights)
        return k, found

    def bends(self, t: Tensor, y: Tensor, weight: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The weight contracted with the derivative of (F_y, F_θ) along D directions of θ, the first tensors.

        Returns:
            The slopes, (D, p, *state), and for every parameter (D, *parameter), summed over the points.
        """
        along, own = tensors[: self.n], tensors[self.n :]

        def weighed(y: Tensor, theta: list[Tensor]) -> Tensor:
            return (self._slopes(t, y, (*theta, *own[self.n :])) * weight).sum()

        def bent(*along: Tensor) -> tuple[Tensor, ...]:
            slope = grad(weighed, argnums=(0, 1))
            made: Any = jvp(lambda theta: slope(y, theta), (list(own[: self.n]),), (list(along),))
            of_y, of_theta = made[1]
            return of_y, *of_theta

        found: Any = vmap(bent)(*along)
        return self._slopes(t, y, own), *found

    def run(self, name: str, given: Sequence[Tensor], check: Callable[[Tensor, Tensor], Found]) -> Found:
        """One of the three functions.

        Args:
            name: "pulls", "second_pulls" or "bends".
            given: its arguments but for the field's own tensors.
            check: (times, points) → its results without the slopes, by automatic differentiation of the eager field.

        Raises:
            Doubt: the graph cannot be made, does not run, or gives something else.
        """
        arguments = [*given, *self._own]
        key = name, _shapes(given), *self._of
        known = kept_of(self.one.field)
        made = known.get(key)
        fresh = made is None
        if made is None:
            with saying("its derivatives at the stage points cannot be captured"):
                graph = capture(getattr(self, name), arguments)
            no_noise(graph)
            examples = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
            with saying("its derivatives at the stage points cannot be compiled (Inductor needs a C++ compiler)"):
                made = compiler(self.how)(graph, examples)
        with torch.no_grad(), saying("its compiled derivatives at the stage points do not run"):
            found = list(made(list(arguments)))
        if fresh and not all(agree(a, b) for a, b in zip(found[1:], check(*given[:2]), strict=True)):
            raise Doubt("its compiled derivatives at the stage points are not those of automatic differentiation")
        known[key] = made
        return found


def _shapes(tensors: Sequence[Tensor]) -> tuple[object, ...]:
    return tuple((x.shape, x.stride(), x.dtype, x.device) for x in tensors)


class CompiledPoints(Points):
    """`Points` whose Jacobians and second derivatives in θ come from graphs, where these can be believed."""

    def __init__(self, trajectory: Trajectory, segment: Segment, steps: CompiledSteps) -> None:
        super().__init__(trajectory, segment)
        self.graphs = PointGraphs(steps)
        self.believed = True

    def _each(self, name: str, x: Tensor, axis: int = 0, *, last: bool = False) -> tuple[Tensor, ...]:
        """(…, points, …) → a contiguous (…, p, …) of every group, filled up with zeros, or with the last point.

        name: of the function that they are for.
        """
        size, count = self.segment.times.shape[1] * GROUPS[name], x.shape[axis]
        missing = -count % size
        if missing:
            shape = [missing if i == axis else n for i, n in enumerate(x.shape)]
            x = torch.cat([x, x.narrow(axis, count - 1, 1).expand(shape) if last else x.new_zeros(shape)], dim=axis)
        return tuple(part.contiguous() for part in x.detach().split(size, dim=axis))

    def _whole(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """The groups side by side, without what the last one was filled up with."""
        return torch.cat(list(parts), dim=axis).narrow(axis, 0, self.segment.times.numel())

    def _by_group(
        self,
        name: str,
        given: Sequence[tuple[Tensor, ...]],
        check: Callable[[int, Tensor, Tensor], Found],
        along: Sequence[Tensor] = (),
    ) -> list[Found] | None:
        """The results of all groups without their slopes; None where they are not to be believed, which is said."""
        if not self.believed:
            return None
        times = self._each(name, self.segment.times.reshape(-1), last=True)
        points = self._each(name, self._all(self.segment.points), last=True)
        slopes, found = list[Tensor](), list[Found]()
        try:
            for i, own in enumerate(zip(times, points, *given, strict=True)):

                def checked(t: Tensor, y: Tensor, i: int = i) -> Found:
                    return check(i, t, y)

                k, *results = self.graphs.run(name, [*own, *along], checked)
                slopes.append(k)
                found.append(results)
            if not agree(self._whole(slopes, 0), self._all(self.segment.slopes)):
                self.graphs.one.forget()
                raise Doubt(STALE)
        except Doubt as why:
            self.believed = False
            warnings.warn(f"these derivatives are not compiled: {why}", NotCompiled, stacklevel=5)
            return None
        return found

    def _all(self, x: Tensor) -> Tensor:
        return x.reshape(-1, *self.shape)

    def _eager(self, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        y = y.detach().requires_grad_()
        return y, self.clock * one_by_one(self.field, t, y)

    def blocks(self, rows: int) -> Tensor | None:
        """As `Points.blocks`."""
        weights = row_weights(self._all(self.segment.points), rows)
        each = self._each("pulls", weights, 1)

        def check(i: int, t: Tensor, y: Tensor) -> Found:
            with torch.enable_grad():
                leaf, k = self._eager(t, y)
            return pull([k], [leaf], [each[i]])

        found = self._by_group("pulls", [each], check)
        if found is None:
            return super().blocks(rows)
        return blocks_of(self._whole([one[0] for one in found], 1), weights, rows)

    def second_blocks(self, rows: int) -> Tensor | None:
        """As `Points.second_blocks`."""
        weights = row_weights(self._all(self.segment.points), rows)
        each, own = self._each("second_pulls", weights, 1), self._weights("second_pulls")

        def check(i: int, t: Tensor, y: Tensor) -> Found:
            with torch.enable_grad():
                leaf, k = self._eager(t, y)
                slope = pull([k], [leaf], [own[i].unsqueeze(0)], graph=True)[0][0]
            return pull([slope], [leaf], [each[i]])

        found = self._by_group("second_pulls", [own, each], check)
        if found is None:
            return super().second_blocks(rows)
        return blocks_of(self._whole([one[0] for one in found], 1), weights, rows)

    def second(
        self, tangents: Tensor | None, directions: Sequence[Tensor] | None, parameters: bool = True
    ) -> tuple[Tensor, list[Tensor]]:
        """As `Points.second`."""
        if tangents is not None or directions is None or not parameters:
            return super().second(tangents, directions, parameters)
        own = self._weights("bends")

        def check(i: int, t: Tensor, y: Tensor) -> Found:
            with torch.enable_grad():
                leaf, k = self._eager(t, y)
                slopes = pull([k], self.parameters, [own[i].unsqueeze(0)], graph=True)
            return pull([g[0] for g in slopes], [leaf, *self.parameters], list(directions))

        found = self._by_group("bends", [own], check, [u.contiguous() for u in directions])
        if found is None:
            return super().second(tangents, directions, parameters)
        total = list(found[0][1:])
        for one in found[1:]:
            total = compat.added(total, one[1:])
        return self._whole([one[0] for one in found], 1), total

    def _weights(self, name: str) -> tuple[Tensor, ...]:
        weights = [chunk.weight for chunk in self.chunks if chunk.weight is not None]
        return self._each(name, torch.cat(weights))
