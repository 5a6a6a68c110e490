"""The means by which subjects are made wrong: an engine, a field or a solver with some of what it does replaced.

The mistakes themselves stand beside this, by their kind. A mutant wraps the engine (wrong derivatives, wrong
bookkeeping of times), the module (a wrong field, or a right field with a wrong derivative) or the solver (a method that
is not what it says).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from odecheck.claim import Mutant
from odecheck.curvature.recipe import RIGHT, Method
from odecheck.engines.base import Engine, events_of, factors_of, graph_of, jumps_of, second_order_of
from odecheck.engines.products import products_of
from odecheck.solvers import FixedStep

Operation = Callable[..., Any]
OPERATIONS = dict[str, Operation]()
"""What can be replaced: name → the operation of an engine that has no replacement for it."""


def _itself(engine: Engine) -> Engine:
    return engine


def _operation(name: str, asked: Callable[[Engine], Any]) -> Operation:
    """An operation of `WrongEngine`. asked: the right engine that has it; raises Unsupported where it has not."""

    def operation(self: WrongEngine, *arguments: Any, **options: Any) -> Any:
        engine = asked(self.right)
        wrong = self.replacement(name)
        return wrong(engine, *arguments, **options) if wrong else getattr(engine, name)(*arguments, **options)

    OPERATIONS[name] = operation
    return operation


@dataclass(frozen=True)
class WrongEngine:
    """An engine with some of its operations replaced; the others are those of the right engine.

    Args:
        right: The engine that it is made from.
        label: What is wrong, which is shown in its name; "" shows nothing.
        wrong: Pairs of an operation's name and its replacement, which is called as the operation is, with the right
            engine before the other arguments. `curvature` is a `Method` in place of an operation.

    Raises:
        TypeError: The name of no operation.
    """

    right: Engine
    label: str
    wrong: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        _known(self.label, self.wrong)

    @property
    def name(self) -> str:
        """That of the right engine, with the label."""
        return f"{self.right.name} [{self.label}]" if self.label else self.right.name

    @property
    def target(self) -> Literal["flow", "steps"]:
        """What the right engine's derivative is of."""
        return self.right.target

    @property
    def lands(self) -> bool:
        """Whether the right engine's steps end on the outputs."""
        return getattr(self.right, "lands", False)

    @property
    def curvature(self) -> Method:
        """How curvature is gathered: the replacement, or as the right engine does."""
        return self.replacement("curvature") or getattr(self.right, "curvature", RIGHT)

    def replacement(self, name: str) -> Any:
        """What stands in the place of an operation.

        Args:
            name: One of `OPERATIONS`, or "curvature".

        Returns:
            The replacement; None where the operation is the right one.
        """
        return next((wrong for operation, wrong in self.wrong if operation == name), None)

    solution = _operation("solution", _itself)
    gradient = _operation("gradient", _itself)
    hessian = _operation("hessian", second_order_of)
    product = _operation("product", products_of)
    gauss_newton_product = _operation("gauss_newton_product", products_of)
    factors = _operation("factors", factors_of)
    horizon = _operation("horizon", factors_of)
    attached = _operation("attached", graph_of)
    event = _operation("event", events_of)
    told = _operation("told", jumps_of)


def _known(label: str, wrong: tuple[tuple[str, Any], ...]) -> None:
    replaced = (*OPERATIONS, "curvature")
    unknown = [name for name, _ in wrong if name not in replaced]
    if unknown:
        raise TypeError(
            f"the wrong engine [{label}] replaces {', '.join(unknown)}, which is no operation of an engine: a misspelt "
            f"name. Type one of {', '.join(replaced)}"
        )


def wrong_engine(name: str, **wrong: Any) -> Mutant:
    """A mutant whose engine does some operations in another way; see `WrongEngine`.

    Args:
        name: What is wrong, in words.
        wrong: Name of an operation → its replacement, called with the right engine before the other arguments.

    Returns:
        The mutant.

    Raises:
        TypeError: The name of no operation, when the mutant is defined.
    """
    pairs = tuple(wrong.items())
    _known(name, pairs)
    return Mutant(name, lambda s: replace(s, engine=WrongEngine(s.engine, name, pairs)))


def then(operation: str, change: Callable[..., Any]) -> Operation:
    """The replacement of an operation by its changed answer.

    Args:
        operation: Name of an operation, done by the right engine first.
        change: Called with the right answer; with both parts of an answer that has two.

    Returns:
        A replacement for `wrong_engine`.
    """

    def changed(engine: Any, *arguments: Any, **options: Any) -> Any:
        answer = getattr(engine, operation)(*arguments, **options)
        return change(*answer) if isinstance(answer, tuple) else change(answer)

    return changed


def around_field(name: str, wrap: Callable[[nn.Module], nn.Module]) -> Mutant:
    """A mutant whose field is wrapped.

    Args:
        name: What is wrong, in words.
        wrap: The right module ↦ the wrong one.

    Returns:
        The mutant.
    """
    return Mutant(name, lambda s: replace(s, around=(*s.around, wrap)))


class Wrong(nn.Module):
    """A field that is another one.

    Args:
        inner: The right field.
        change: Called as change(inner, t, y) in its place.
    """

    def __init__(self, inner: nn.Module, change: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The wrong value."""
        return self.change(self.inner, t, y)


def wrong_field(name: str, change: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> Mutant:
    """A mutant whose field is another one.

    Args:
        name: What is wrong, in words.
        change: Called as change(module, t, y) in place of the module.

    Returns:
        The mutant.
    """
    return around_field(name, lambda inner: Wrong(inner, change))


class _Transpose(torch.autograd.Function):
    """F forwards; backwards the Jacobian in y instead of its transpose."""

    @staticmethod
    def forward(ctx: Any, module: nn.Module, t: Tensor, y: Tensor, *params: Tensor) -> Tensor:
        ctx.module, ctx.params = module, params
        ctx.save_for_backward(t, y)
        return module(t, y).detach()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (g,) = grads
        t, y = ctx.saved_tensors
        with torch.enable_grad():
            t, y = t.detach().requires_grad_(), y.detach().requires_grad_()
            value = ctx.module(t, y)
            d = y.shape[-1]
            rows = [
                torch.autograd.grad(value[..., i].sum(), y, retain_graph=True, allow_unused=True)[0] for i in range(d)
            ]
            jacobian = torch.stack([torch.zeros_like(y) if r is None else r for r in rows], dim=-2)
            free = [x for x in (t, *ctx.params) if x.requires_grad]  # an engine may hold the parameters fixed
            found = iter(torch.autograd.grad(value, free, g, allow_unused=True))
            others = [next(found) if x.requires_grad else None for x in (t, *ctx.params)]
        return None, others[0], (jacobian @ g[..., None])[..., 0], *others[1:]


class TransposedJacobian(nn.Module):
    """The same field, whose derivative in y is transposed."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The right value, with the wrong derivative."""
        result: Any = _Transpose.apply(self.inner, t, y, *self.inner.parameters())
        return result


_LOWER = {"midpoint": "euler", "heun2": "euler", "heun3": "heun2"}


@dataclass(frozen=True)
class Mislabelled(FixedStep):
    """Steps with a method of lower order than the one whose name it bears."""

    def solve(self, odeint: Any, module: Any, y0: Tensor, ts: Tensor) -> Tensor:
        """States at ts, by the other method."""
        actual = FixedStep(_LOWER.get(self.method, "heun3"), self.step, self.interp, self.options)
        return actual.solve(odeint, module, y0, ts)
