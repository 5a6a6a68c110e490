"""Parameters on which a field does not depend: the additive constant of an energy, or what it does not use.

The same is seen of a weight that was read at an earlier call and is kept, perhaps beside a zero times the true one:
there the gradient is lost. What stands in its place is something that a later call is given from outside: `replaced`.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Sequence
from types import FrameType, FunctionType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from odecheck.compat import tree_leaves


def constants(module: nn.Module, t: Tensor, y: Tensor) -> tuple[str, ...]:
    """Which parameters a field's graph and its values do without: its derivative in them is truly zero.

    A Hamiltonian field is the gradient of a network, and the network's last bias falls out of it. Others are never
    used: the parameter of another part of a model, or of a mode that is switched off. A parameter that is detached
    takes part, and values change with it; in the place of one that was read once stands what was kept of it.

    Args:
        module: A float64 module, called as module(t, y); a copy of it is asked.
        t: A time, of shape ().
        y: A state (rows, *features).

    Returns:
        Their names.
    """
    own = copy.deepcopy(module)
    named = {name: p for name, p in own.named_parameters() if p.requires_grad}
    used = _Given(())
    with torch.enable_grad():
        state = y.detach().clone().requires_grad_()
        with used:
            value = own(t.clone(), state * 1.0)
        if not value.requires_grad:
            return ()
        # torch's types do not know that allow_unused gives None
        grads = cast(Sequence[Tensor | None], torch.autograd.grad(value.sum(), list(named.values()), allow_unused=True))
    out = [
        (name, id(p) in used.seen)
        for (name, p), g in zip(named.items(), grads, strict=True)
        if g is None and _without_influence(own, p, t, y, value.detach())
    ]
    kept = replaced(module, [name for name, seen in out if not seen], t, y)
    return tuple(name for name, _ in out if name not in kept)


def _without_influence(module: nn.Module, p: Tensor, t: Tensor, y: Tensor, value: Tensor) -> bool:
    """Whether not a bit of a value changes with a parameter."""
    with torch.no_grad():
        before = p.detach().clone()
        p.mul_(-1.3).add_(0.7)
    changed = module(t.clone(), y.detach().clone()).detach()
    with torch.no_grad():
        p.copy_(before)
    return torch.equal(changed, value)


def replaced(module: nn.Module, names: Sequence[str], t: Tensor, y: Tensor) -> tuple[str, ...]:
    """In the place of which of these parameters something may stand that is kept from an earlier call.

    Two calls of a copy are followed: functions of torch are given t, y, parameters, what they made of them, and perhaps
    something from outside. What the second is given and the first was not, the first has kept. What both are given may
    have been made of any parameter of its size, and a number, unless it is written in the code, of any single one that
    is not used; a buffer or a number stands for a parameter whose values it has.

    Args:
        module: A float64 module, called as module(t, y); a copy of it is asked.
        names: Parameters that can take any value without the field changing.
        t: A time, of shape ().
        y: A state (rows, *features).

    Returns:
        Their names. A parameter of another name is times a true zero, of torch.zeros_like(y), of a part that is
        switched off; or it is not used.
    """
    own = copy.deepcopy(module)
    named, calls = dict(own.named_parameters()), list[_Given]()
    with torch.enable_grad():
        for _ in range(2 if names else 0):
            time, state = t.clone(), y.detach().clone().requires_grad_()
            calls.append(_Given((time, state, *named.values())))
            with calls[-1]:
                own(time, state)
    if not calls:
        return ()
    first, second = calls
    buffers = {id(b) for b in own.buffers()}
    before = {id(x) for x in first.outside}
    if any(id(x) not in before for x in second.outside):
        return tuple(names)
    sizes = {_size(x) for x in second.outside if id(x) not in buffers}
    equal = [*(x for x in second.outside if id(x) in buffers), *map(np.array, second.numbers)]

    def is_replaced(p: Tensor) -> bool:
        of_a_number = p.numel() == 1 and id(p) not in second.seen and any(x % 1 for x in second.made)
        return p.numel() in sizes or of_a_number or any(_alike(p, x) for x in equal)

    return tuple(name for name in names if is_replaced(named[name]))


def _size(x: Any) -> int:
    return math.prod(x.shape)


def _values(x: Any) -> NDArray[np.float64]:
    array: Any = x.detach().cpu().to_dense().numpy() if isinstance(x, Tensor) else np.asarray(x)
    return np.sort(array.ravel().real.astype(np.float64))


def _alike(a: Tensor, b: Any) -> bool:
    """The same numbers in any order, to float32."""
    return _size(a) == _size(b) and np.allclose(_values(a), _values(b), rtol=1e-6, atol=0.0)


def _literals(frame: FrameType | None) -> set[float]:
    """Numbers that are written in the code of a field that is running, or in the making of the modules that run."""
    found, makers = set[float](), set[Any]()
    while frame is not None and frame.f_code.co_filename != __file__:
        found |= _floats(frame.f_code.co_consts)
        own = frame.f_locals.get("self")
        makers |= {vars(kind).get("__init__") for kind in type(own).__mro__} if isinstance(own, nn.Module) else set()
        frame = frame.f_back
    for maker in makers:
        if isinstance(maker, FunctionType):
            found |= _floats(
                (maker.__code__.co_consts, maker.__defaults__, tuple((maker.__kwdefaults__ or {}).values()))
            )
    return found


def _floats(constants: Any) -> set[float]:
    if isinstance(constants, tuple):
        return set[float]().union(*map(_floats, cast(tuple[Any, ...], constants)))
    return {constants, -constants} if isinstance(constants, float) else set()


class _Given(TorchFunctionMode):
    """Notes what functions of torch are given that is none of `known` and none of their results.

    outside: tensors and arrays. numbers, and of them those that may be `made` of something: they are not written in the
    code. seen: ids of all tensors.
    """

    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()
        self.known: dict[int, Any] = {id(x): x for x in known}  # kept alive: an id is given again
        self.outside = list[Any]()
        self.numbers, self.made, self.seen = set[float](), set[float](), set[int]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = list[Any](tree_leaves((args, kwargs or {})))
        if numbers := {float(x) for x in given if isinstance(x, float) and math.isfinite(x)}:
            self.numbers |= numbers
            self.made |= numbers - _literals(sys._getframe(1))  # pyright: ignore[reportPrivateUsage]
        result = func(*args, **(kwargs or {}))
        made = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        if made or result is None:  # who asks for a shape or a device makes no use of the numbers
            for x in given:
                if isinstance(x, Tensor | np.ndarray):
                    self._see(x)
        self.known |= {id(x): x for x in made}
        return result

    def _see(self, x: Any) -> None:
        self.seen.add(id(x))
        if id(x) not in self.known:
            self.known[id(x)] = x
            if x.dtype.is_floating_point or x.dtype.is_complex if isinstance(x, Tensor) else x.dtype.kind in "fc":
                self.outside.append(x)
