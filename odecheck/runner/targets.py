"""From what a user types to what is verified: import strings, files and modules become (subject, problem) pairs."""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from odecheck_reference import Problem, ProblemError
from odecheck_reference.losses import SquaredError
from torch import nn

from odecheck.errors import BadInput
from odecheck.fields.callback import CallbackField, Flattened, ModuleFactory, flat_parameters
from odecheck.foreign import first_line, literal, said
from odecheck.subject import SHIPPED, Subject

from . import presets as shipped
from .imports import imported, without_end

Pair = tuple[Subject, Problem]
DEFAULT_TIMES = (0.0, 0.5, 1.0)


def pairs(
    targets: Sequence[str] = (), *, tier: str = "quick", state: str | None = None, times: str | None = None
) -> list[Pair]:
    """The subjects and problems that a user's targets are.

    Args:
        targets: Import strings "package.module:name" or files "path/to/file.py:name"; of none, the shipped ones.
        tier: Of the shipped subjects and problems, where they are taken.
        state: An example state for a plain module, as typed: "[[1.0, 0.5]]".
        times: Times for a plain module, as typed.

    Returns:
        (subject, problem) pairs.

    Raises:
        BadInput: Something does not import, or is not a subject.
    """
    if not targets:
        return [(s, p) for s in shipped.subjects(tier) for p in shipped.problems(tier)]
    examples = _typed("--state", state), _typed("--times", times)
    found: list[Pair] = []
    for target in targets:
        value, module = imported(target)
        found += _Reading(target, module, tier, *examples).pairs(value)
    return found


def module_pairs(
    module: nn.Module,
    y0: ArrayLike | torch.Tensor,
    ts: ArrayLike | torch.Tensor | None = None,
    *,
    name: str | None = None,
) -> list[Pair]:
    """How a plain module is verified, without a second formula of its field: with the default solvers and engines.

    The loss is half the squared distance of the states to fixed numbers.

    Args:
        module: Called as module(t, y); a float64 copy is made of it.
        y0: An example state (batch, *features), each row a separate problem.
        ts: Times (times,), monotone; by default 0, 0.5 and 1.
        name: Of the problem, by default with the name of the module's class.

    Returns:
        (subject, problem) pairs, one for each of the default solvers and engines.

    Raises:
        BadInput: A state or times that are no numbers, or times that are not monotone.
    """
    start = _numbers("the example state", y0)
    if start.ndim < 2 or start.size == 0:
        raise BadInput(
            f"the example state has shape {start.shape}",
            "a single row without its batch axis",
            "y0[None, :], so that it is (batch, *features)",
        )
    features = start.shape[1:]
    double = copy.deepcopy(module).double().cpu()
    field = CallbackField(double, features)
    flat = start.reshape(len(start), -1)
    times = _numbers("the times", DEFAULT_TIMES if ts is None else ts)
    loss = _distance((times.size, *flat.shape))
    try:
        problem = Problem(
            name or f"{type(module).__name__} at the example state",
            field,
            flat,
            flat_parameters(double),
            times,
            loss,
            source="an example state",
            independent=False,
        )
    except ProblemError as error:
        raise BadInput(
            str(error),
            "times that repeat, turn back or are too few, or a state with NaN",
            "ts = torch.linspace(0, 1, 3), or the same reversed",
        ) from error
    factory = ModuleFactory(Flattened(double, features))
    return [(Subject(factory, solver, engine), problem) for solver, engine in shipped.for_modules()]


def _distance(shape: tuple[int, ...]) -> SquaredError:
    """½ |y − target|² at all times but the first, with targets that differ everywhere."""
    weight = np.ones(shape)
    weight[0] = 0.0
    return SquaredError(weight, np.round(np.random.default_rng(0).standard_normal(shape) * 64) / 64)


def _numbers(what: str, x: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        array = x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else x
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise BadInput(
            f"{what} is {literal(x)}, and no array of numbers ({first_line(error)})",
            "rows of different lengths, or text",
            "a tensor, or nested lists of one shape: [[1.0, 0.5], [0.2, -1.0]]",
        ) from error


def _typed(option: str, text: str | None) -> Any:
    if text is None:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise BadInput(
            f"{option} {literal(text)} is not a list of numbers",
            "quotes that the shell took away, or a missing bracket",
            f"{option} '[[1.0, 0.5]]'",
        ) from error


class _Reading:
    """One target: what the user's object is, and which problems belong to it."""

    def __init__(self, target: str, module: ModuleType, tier: str, state: Any, times: Any) -> None:
        self.target, self.module, self.tier, self.state, self.times = target, module, tier, state, times

    def pairs(self, value: Any) -> list[Pair]:
        if isinstance(value, nn.Module):
            return module_pairs(value, self._example(value), self._times(value), name=self._name(value))
        if isinstance(value, Subject):
            return [(value, problem) for problem in self._problems(value)]
        parts = list(cast(Iterable[Any], value)) if isinstance(value, list | tuple) else None
        thing = cast(object, value)
        if parts and isinstance(value, tuple) and isinstance(parts[0], nn.Module) and 2 <= len(parts) <= 3:
            return module_pairs(*parts, name=self._name(parts[0]))
        if parts and isinstance(value, tuple) and len(parts) == 2 and isinstance(parts[0], Subject):
            subject, beside = parts[0], parts[1]
            if isinstance(beside, Problem):
                return [(subject, beside)]
            if not isinstance(beside, Subject):
                return [(subject, problem) for problem in cast(Iterable[Problem], beside)]
        if parts is not None:
            found = [pair for item in parts for pair in self.pairs(item)]
            if found:
                return found
        elif callable(thing) and not inspect.isclass(thing):
            return self.pairs(self._made(cast(Callable[[], Any], value)))
        raise BadInput(
            f"{self.target} is {type(thing).__name__}: {_short(value)}",
            "the name of something else, a class in place of an instance, or an empty list",
            "a Subject, a list of them, a list of (subject, problem), an nn.Module with an example state, or a "
            "function without arguments that returns one of these",
        )

    def _made(self, function: Callable[[], Any]) -> Any:
        try:
            with without_end():
                return function()
        except (Exception, SystemExit) as error:
            raise BadInput(
                f"{self.target}() raised {said(error)}",
                "a function that takes arguments",
                "def subjects(): return [Subject(...)]",
            ) from error

    def _problems(self, subject: Subject) -> Iterable[Problem]:
        own = getattr(self.module, "problems", None)
        if own is not None:
            return self._made(own) if callable(own) else own
        if subject.field is SHIPPED:
            return shipped.problems(self.tier)
        raise BadInput(
            f"{self.target}: subject {subject.name!r} has a field of its own, and no problem comes with it",
            "a file with subjects and without problems",
            "problems = [Problem(...)] in the same file, or subjects = [(subject, problem)]; for a module without "
            "a numpy formula: subjects = odecheck.module_pairs(module, y0)",
        )

    def _example(self, module: nn.Module) -> Any:
        state = self.state if self.state is not None else getattr(module, "example_state", None)
        if state is None:
            raise BadInput(
                f"{self.target} is a module without an example state",
                "a module alone does not say what shape its state has",
                "--state '[[1.0, 0.5]]', or module.example_state = torch.tensor([[1.0, 0.5]]), or the "
                "pair (module, y0)",
            )
        return state

    def _times(self, module: nn.Module) -> Any:
        return self.times if self.times is not None else getattr(module, "example_times", None)

    def _name(self, module: nn.Module) -> str:
        return f"{type(module).__name__} of {self.target}"


def _short(value: Any) -> str:
    return literal(value, 80)
