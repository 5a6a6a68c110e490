"""One step of a method as a function of tensors, captured and compiled once.

Once for a field with its plain attributes, a method, a number of directions, and the shapes, strides, dtypes and
devices of all tensors: that is the key that the graphs are kept under, as long as the field lives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call, jvp, vjp, vmap

from odecheck import compat

from .capturable import Doubt, attributes, named, no_noise, repeatable
from .captured import Part, Run, capture, split
from .replayed import Replayed
from .stepping import Stepper
from .tableau import Tableau

Compile = Literal[False, True, "graphs", "CUDA graphs"]
Values = dict[str, Tensor]

_made: WeakKeyDictionary[nn.Module, dict[Any, Any]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Graphs:
    """The compiled parts of one step, and the names of what they read.

    Attributes:
        parts: "step", "tangent", "adjoint", "second".
        inputs: names of h with the stage times, x, ẋ, λ, μ.
        parameters: names of θ.
        directions: names of θ̇.
        rest: names of the field's other parameters and its buffers.
    """

    parts: dict[str, Part]
    inputs: tuple[str, str, str, str, str]
    parameters: tuple[str, ...]
    directions: tuple[str, ...]
    rest: tuple[str, ...]

    def run(self, part: str, values: Values) -> tuple[list[Tensor], Values]:
        """One part: from all values known by name to (its results, what is kept for later parts)."""
        return self.parts[part](values)


class OneStep:
    """What is captured: one step of a method for a field, as a function of tensors.

    x is (parts, *state): the state and, for methods whose first stage is a stale one, that stage's point.
    """

    def __init__(self, stepper: Stepper, parameters: Mapping[str, Tensor]) -> None:
        self.field, self.names, self.others = named(stepper.field, parameters)
        self.stepper, self.tensors = stepper, list(parameters.values())

    @property
    def rest(self) -> list[Tensor]:
        """The field's other parameters and its buffers, as they are now."""
        return [x.detach() for x in self.others.values()]

    def slope(self, t: Tensor, y: Tensor, theta: list[Tensor], rest: list[Tensor]) -> Tensor:
        """The slope in the solver's clock: (), (*state) → (*state)."""
        own = dict(zip((*self.names, *self.others), (*theta, *rest), strict=True))
        slope = functional_call(self.field, own, (t, y))
        if slope.shape != y.shape:
            raise ValueError(f"the field maps a state of shape {tuple(y.shape)} to {tuple(slope.shape)}")
        return slope if self.stepper.clock > 0 else -slope

    def __call__(
        self, at: Tensor, x: Tensor, theta: list[Tensor], rest: list[Tensor], tableau: Tableau
    ) -> tuple[Tensor, list[Tensor]]:
        """From (size, stage times) and x to (x at the end, the slopes)."""
        y, point, k = x[0], x[-1], list[Tensor]()
        for i in range(tableau.stages):
            point = point if i == 0 else _moved(y, at[0], tableau.a[i], k)
            k.append(self.slope(at[i + 1], point, theta, rest))
        end = _moved(y, at[0], tableau.b, k)
        return torch.stack([end, point] if tableau.carries else [end]), k

    def closed(self, count: int) -> Callable[..., tuple[Tensor, ...]]:
        """Step, tangent, adjoint and second adjoint as one function; with `count` directions at once, or 0 for one."""
        n, tableau = len(self.names), self.stepper.tableau
        effective = tableau.effective()

        def one(at: Tensor, x: Tensor, dx: Tensor, adjoint: Tensor, second: Tensor, *tensors: Tensor):
            theta, along, rest = list(tensors[:n]), list(tensors[n : 2 * n]), list(tensors[2 * n :])

            def pushed(x: Tensor, dx: Tensor, theta: list[Tensor], along: list[Tensor]):
                made: Any = jvp(lambda x, theta: self(at, x, theta, rest, effective), (x, theta), (dx, along))
                (end, k), (dend, _) = made
                return (end, dend), k

            found: Any = vjp(pushed, x, dx, theta, along, has_aux=True)
            (end, dend), back, k = found
            gx, gdx, gtheta, galong = back((second, adjoint))
            if tableau.stages > effective.stages:  # the slope that the estimate of the error needs
                k = [*k, self.slope(at[-1], end[0], theta, rest)]
            slopes = torch.stack(list(k)).reshape(tableau.stages, -1)
            return (end, slopes, dend, gdx, *galong, gx, *gtheta)

        if not count:
            return one
        moving = (None, None, 0, None, 0, *([None] * n), *([0] * n), *([None] * len(self.others)))
        gives = (None, None, 0, *([None] * (1 + n)), *([0] * (1 + n)))
        return vmap(one, in_dims=moving, out_dims=gives)  # type: ignore[arg-type]

    def examples(self, x: Tensor, count: int) -> list[Tensor]:
        """Arguments of `closed` for this x (parts, *state)."""
        batch = (count,) if count else ()
        at = x.new_full((self.stepper.tableau.stages + 1,), 0.5)
        theta = [p.detach() for p in self.tensors]
        along = [p.new_full((*batch, *p.shape), 0.5) for p in theta]
        dx, second = (x.new_ones(*batch, *x.shape) for _ in range(2))
        return [at, x, dx, torch.ones_like(x), second, *theta, *along, *self.rest]

    def key(self, x: Tensor, count: int, compile: Compile) -> tuple[Any, ...]:
        """What graphs are kept under: everything that they hold fast."""
        tensors = [x, *self.tensors, *self.others.values()]
        shapes = tuple((v.shape, v.stride(), v.dtype, v.device) for v in tensors)
        return (
            compile,
            count,
            self.stepper.tableau,
            self.stepper.clock,
            tuple(self.names),
            shapes,
            attributes(self.field),
        )

    def graphs(self, x: Tensor, count: int, compile: Compile) -> tuple[Graphs, bool]:
        """The graphs for this x and this number of directions, and whether they were made just now.

        Raises:
            Doubt: they cannot be made.
        """
        known, key = kept_of(self.field), self.key(x, count, compile)
        made = known.get(key)
        if made is None:
            if compile == "CUDA graphs" and x.device.type != "cuda":
                raise Doubt(f"CUDA graphs are a GPU's, and the state is on {x.device}")
            repeatable(self.field, x.new_full((), 0.5), x[0])
            made = known[key] = self._make(x, count, compile)
            return made, True
        return made, False

    def _make(self, x: Tensor, count: int, compile: Compile) -> Graphs:
        n, arguments = len(self.names), self.examples(x, count)
        with saying("its operations cannot be captured (branches on values, or operations without a derivative)"):
            graph = capture(self.closed(count), arguments)
        no_noise(graph)
        names = [node.name for node in graph.graph.nodes if node.op == "placeholder"]
        bits = [0, 0, 1, 2, 4, *([0] * n), *([1] * n), *([0] * len(self.others))]
        results = [0, 0, 1, *([2] * (1 + n)), *([3] * (1 + n))]
        with saying("its captured step cannot be compiled (Inductor needs a C++ compiler)"):
            parts = split(graph, dict(zip(names, bits, strict=True)), results, compiler(compile))
        inputs = names[0], names[1], names[2], names[3], names[4]
        return Graphs(
            parts, inputs, *(tuple(names[i:j]) for i, j in ((5, 5 + n), (5 + n, 5 + 2 * n), (5 + 2 * n, None)))
        )

    def forget(self) -> None:
        """Make the graphs of this field anew next time."""
        _made.pop(self.field, None)


def _moved(y: Tensor, size: Tensor, weights: tuple[float, ...], k: list[Tensor]) -> Tensor:
    total: Tensor | None = None
    for weight, slope in zip(weights, k, strict=True):
        if weight:
            total = slope * weight if total is None else torch.add(total, slope, alpha=weight)
    return y if total is None else y + size * total


def kept_of(field: nn.Module) -> dict[Any, Any]:
    """What is kept of a field as long as it lives: key → graphs."""
    return _made.setdefault(field, {})


def compiler(compile: Compile) -> Callable[[fx.GraphModule, list[Tensor]], Run]:
    """What makes a function of a list of tensors of a captured graph and examples of its arguments."""
    return {True: compat.compiled_graph, "CUDA graphs": _replayed}.get(compile, _as_it_is)


def _as_it_is(graph: fx.GraphModule, _: list[Tensor]) -> Run:
    return lambda values: graph(*values)


def _replayed(graph: fx.GraphModule, examples: list[Tensor]) -> Run:
    return Replayed(_as_it_is(graph, examples))


class saying:
    """Turns whatever happens inside into a doubt that says what was going on."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, Doubt):
            first = (str(error).strip().splitlines() or [""])[0][:200]
            raise Doubt(f"{self.what}: {type(error).__name__}: {first}") from error
