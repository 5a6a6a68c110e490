"""Whether a field's step may be replaced by captured operations, and what such a capture stands on.

A captured step repeats operations and nothing else: it neither draws anew, nor counts calls, nor takes the other
branch of an `if`. So a field that does any of that is refused in words, and everything that a capture holds fast (the
plain attributes of the field's modules) is part of the key that it is kept under.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from odecheck import compat

from .stepping import Field

PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
OF_TORCH = {"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"}
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Doubt(Exception):
    """A reason not to take compiled steps, in words; the solve then goes on without them."""


class NotCompiled(UserWarning):
    """Compiled steps were asked for, and this solve does without them; the warning says why."""


def attributes(field: nn.Module) -> tuple[Any, ...]:
    """What a capture holds fast: the plain attributes of all modules of a field, as a key.

    Numbers, texts and containers count by value, tensors that are no buffers by identity and version, and everything
    else by identity.
    """
    return tuple(
        (name, key, _value(value))
        for name, module in field.named_modules()
        for key, value in vars(module).items()
        if key not in OF_TORCH and not key.startswith("callback_")
    )


def _value(x: Any) -> Any:
    if isinstance(x, PLAIN):
        return type(x).__name__, x
    if isinstance(x, Tensor):
        return "tensor", id(x), x._version
    if isinstance(x, Mapping):
        return "mapping", tuple((_value(key), _value(value)) for key, value in x.items())
    if isinstance(x, list | tuple):
        return type(x).__name__, tuple(_value(value) for value in x)
    if dataclasses.is_dataclass(x):
        return type(x).__name__, id(x), tuple(_value(getattr(x, at.name)) for at in dataclasses.fields(x))
    return type(x).__name__, id(x)


def named(field: Field, parameters: Mapping[str, Tensor]) -> tuple[nn.Module, list[str], dict[str, Tensor]]:
    """The field as a module, its names of the parameters, and its other parameters and buffers by name.

    Args:
        field: what is solved.
        parameters: name → tensor, what derivatives in θ are taken by.

    Raises:
        Doubt: it is no module, has hooks, or a parameter is none of its own.
    """
    if not isinstance(field, nn.Module):
        raise Doubt("the field is a function; only the tensors of a module can be told apart from constants")
    for name, module in field.named_modules():
        if any(getattr(module, hooks) for hooks in HOOKS):
            raise Doubt(f"the module {name or type(module).__name__!r} has hooks, which a captured step would not call")
    every = {**dict(field.named_parameters()), **dict(field.named_buffers())}
    names = {id(value): name for name, value in every.items()}
    strangers = [name for name, value in parameters.items() if id(value) not in names]
    if strangers:
        raise Doubt(f"the parameters {strangers} are none of the field's own")
    chosen = [names[id(value)] for value in parameters.values()]
    return field, chosen, {name: value for name, value in every.items() if name not in chosen}


def repeatable(field: nn.Module, time: Tensor, y: Tensor) -> None:
    """Call a field once and see whether that changes it.

    Args:
        field: a module called as field(t, y).
        time: a time ().
        y: a state (*state).

    Raises:
        Doubt: an attribute or a buffer was changed by the call (a counter, statistics of a training mode).
    """
    before, buffers = attributes(field), [(name, x, x._version) for name, x in field.named_buffers()]
    with torch.no_grad():
        field(time, y)
    changed = [f"{name}.{key}".lstrip(".") for name, key in _differences(before, attributes(field))]
    changed += [name for name, x, version in buffers if x._version != version]
    changed += [name for (name, x, _), now in zip(buffers, field.buffers(), strict=False) if now is not x]
    if changed:
        raise Doubt(
            f"a call changes the field's own {', '.join(changed)} (a counter, or statistics of the training mode), "
            "which a captured step would not: switch to evaluation mode, or count with callback_accept_step"
        )


def _differences(before: Sequence[Any], after: Sequence[Any]) -> Iterator[tuple[str, str]]:
    old, new = ({(name, key): value for name, key, value in part} for part in (before, after))
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield key


def no_noise(graph: fx.GraphModule) -> None:
    """Refuse captured operations that draw numbers.

    Raises:
        Doubt: there is one.
    """
    for node in graph.graph.nodes:
        if isinstance(node.target, compat.OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags:
            raise Doubt(f"the field draws random numbers ({node.target}): switch dropout to evaluation mode")
