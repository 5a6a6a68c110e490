"""From what a user types to what is verified: import strings, files and modules become (subject, problem) pairs."""

from __future__ import annotations

import ast
import inspect
import pickle
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import ModuleType
from typing import Any, cast

from odecheck_reference import Problem
from torch import nn

from odecheck.errors import BadInput
from odecheck.fields.from_jax import is_of_jax
from odecheck.foreign import literal, said
from odecheck.subject import SHIPPED, Subject

from . import presets as shipped
from .imports import imported, without_end
from .limits import Limits, within
from .own_fields import Pair, called, module_pairs
from .own_tolerance import at_tolerance
from .pool import Failure, Job, in_processes
from .process_start import CAN_FORK, Start


def pairs(
    targets: Sequence[str] = (),
    *,
    tier: str = "quick",
    state: str | None = None,
    times: str | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
    limits: Limits | None = None,
) -> list[Pair]:
    """The subjects and problems that a user's targets are.

    Args:
        targets: Import strings "package.module:name" or files "path/to/file.py:name"; of none, the shipped ones.
        tier: Of the shipped subjects and problems, where they are taken.
        state: An example state for a plain module, as typed: "[[1.0, 0.5]]".
        times: Times for a plain module, as typed.
        rtol: A relative tolerance in place of each subject's own; subjects of fixed steps are left out.
        atol: An absolute one; by default rtol / 100.
        method: An adaptive method of torchdiffeq in place of each subject's own.
        limits: Of reading a target; then a field that has to be called for it is called in another process.

    Returns:
        (subject, problem) pairs.

    Raises:
        BadInput: Something does not import, or is not a subject.
        OutOfTime: A target has not been read in time.
    """
    if rtol is not None or atol is not None or method is not None:
        return at_tolerance(pairs(targets, tier=tier, state=state, times=times, limits=limits), rtol, atol, method)
    if not targets:
        _of_no_use("the shipped subjects have problems of their own", state, times)
        return list(shipped.pairs(tier))
    examples = _typed("--state", state), _typed("--times", times)
    found: list[Pair] = []
    for target in targets:
        with within(None if limits is None else limits.seconds):
            value, module = imported(target)
        found += _Reading(target, module, tier, *examples, limits).pairs(value)
    return found


def _asked_elsewhere(limits: Limits, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in another process; None where that ends or is late: validation says what is wrong."""
    starts: list[Start] = ["forkserver", "fork"] if CAN_FORK else ["forkserver"]
    try:
        pickle.loads(pickle.dumps(arguments))
    except Exception:  # a lambda: a copy of this process has it
        starts = ["fork"]
    for start in starts:
        ((_, found),) = in_processes([Job("", function, arguments, limits)], 1, start=start)
        if not isinstance(found, Failure):
            return found
        if found.why != "raised":
            break  # else perhaps it was not read there: the file has prepared this process for its field
    return None


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


def _of_no_use(who: str, state: object, times: object) -> None:
    """Raises BadInput where an example was typed for what has its own."""
    typed = {"--state": state, "--times": times}
    if found := [option for option, value in typed.items() if value is not None]:
        raise BadInput(
            f"{' and '.join(found)} would be ignored: {who}",
            "an option that is for a module alone",
            f"the same without {' and '.join(found)}, or a module without an example",
        )


class _Reading:
    """One target: what the user's object is, and which problems belong to it."""

    def __init__(
        self, target: str, module: ModuleType, tier: str, state: Any, times: Any, limits: Limits | None = None
    ) -> None:
        self.target, self.module, self.tier, self.state, self.times = target, module, tier, state, times
        self.limits = limits

    def pairs(self, value: Any) -> list[Pair]:
        if isinstance(value, nn.Module) or is_of_jax(value):
            return self._of_field(value, self._example(value), self._times(value))
        if isinstance(value, Subject):
            _of_no_use(f"{self.target} has problems of its own", self.state, self.times)
            return [(value, problem) for problem in self._problems(value)]
        parts = list(cast(Iterable[Any], value)) if isinstance(value, list | tuple) else None
        thing = cast(object, value)
        if parts and isinstance(value, tuple) and _is_field(parts[0]) and 2 <= len(parts) <= 3:
            _of_no_use(f"{self.target} has a state of its own", self.state, None)
            if len(parts) == 3:
                _of_no_use(f"{self.target} has times of its own", None, self.times)
            return self._of_field(parts[0], parts[1], parts[2] if len(parts) == 3 else self._times(parts[0]))
        if parts and isinstance(value, tuple) and len(parts) == 2 and isinstance(parts[0], Subject):
            subject, beside = parts[0], parts[1]
            _of_no_use(f"{self.target} has problems of its own", self.state, self.times)
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

    def _of_field(self, field: Any, state: Any, times: Any = None) -> list[Pair]:
        limits = self.limits
        if limits is None:
            return module_pairs(
                field, state, times, name=self._name(field), parts=getattr(field, "example_parts", None)
            )
        try:
            with without_end():
                return module_pairs(
                    field,
                    state,
                    times,
                    name=self._name(field),
                    parts=getattr(field, "example_parts", None),
                    asked=partial(_asked_elsewhere, limits),
                )
        except SystemExit as error:
            raise BadInput(
                f"{self.target} cannot be copied: {said(error)}", "an end of the process there", "a field that can be"
            ) from error

    def _made(self, function: Callable[[], Any]) -> Any:
        try:
            with without_end(), within(None if self.limits is None else self.limits.seconds):
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

    def _name(self, module: Any) -> str:
        return f"{called(module)} of {self.target}"


def _is_field(thing: Any) -> bool:
    """A module, or a function of two arguments beside an example state."""
    return isinstance(thing, nn.Module) or (callable(thing) and not inspect.isclass(thing))


def _short(value: Any) -> str:
    return literal(value, 80)
