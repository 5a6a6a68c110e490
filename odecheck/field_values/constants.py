"""Parameters that take part in a field and on which it does not depend: the additive constant of an energy.

The same is seen of a weight that was read at an earlier call and is kept, beside a zero times the true one; there the
gradient is lost. What stands in a parameter's place is something that a later call is given from outside: `replaced`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from odecheck.compat import tree_leaves


def constants(module: nn.Module, t: Tensor, y: Tensor) -> tuple[str, ...]:
    """Which parameters take part in a field whose graph and whose values do without them.

    A Hamiltonian field is the gradient of a network, and the network's last bias falls out of it: its derivative is
    truly zero. A parameter that is detached takes part too, but values change with it; one that was read once and is
    kept, or is never used, takes part in no later call.

    Args:
        module: A float64 module, called as module(t, y); a copy of it is asked.
        t: A time, of shape ().
        y: A state (rows, *features).

    Returns:
        Their names.
    """
    own = copy.deepcopy(module)
    named = {name: p for name, p in own.named_parameters() if p.requires_grad}
    used = _Used()
    with torch.enable_grad():
        state = y.detach().clone().requires_grad_()
        with used:
            value = own(t.clone(), state * 1.0)
        if not value.requires_grad:
            return ()
        # torch's types do not know that allow_unused gives None
        grads = cast(Sequence[Tensor | None], torch.autograd.grad(value.sum(), list(named.values()), allow_unused=True))
    return tuple(
        name
        for (name, p), g in zip(named.items(), grads, strict=True)
        if g is None and id(p) in used.seen and _without_influence(own, p, t, y, value.detach())
    )


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

    A later call is followed: the functions of torch in it are given t, y, parameters, what they made of them, and
    perhaps something from outside. A tensor or an array that is registered nowhere may have been made of any parameter
    of its size; a buffer or a number stands for a parameter whose values it has.

    Args:
        module: A float64 module, called as module(t, y); a copy of it is asked.
        names: Parameters that can take any value without the field changing.
        t: A time, of shape ().
        y: A state (rows, *features).

    Returns:
        Their names, and of those that no function of torch was given. A parameter of another name is times a true
        zero: of torch.zeros_like(y), of a part that is switched off.
    """
    own = copy.deepcopy(module)
    named = dict(own.named_parameters())
    with torch.enable_grad():
        own(t.clone(), y.detach().clone())  # whatever is kept is kept now
        time, state = t.clone(), y.detach().clone().requires_grad_()
        given = _Given((time, state, *named.values()))
        with given:
            own(time, state)
    buffers = {id(b) for b in own.buffers()}
    loose = max((_values(x).size for x in given.outside if id(x) not in buffers), default=0)
    kept = [_values(x) for x in given.outside if id(x) in buffers] + [np.array([x]) for x in given.numbers]

    def is_replaced(p: Tensor) -> bool:
        return loose >= p.numel() or id(p) not in given.seen or any(_alike(_values(p), x) for x in kept)

    return tuple(name for name in names if is_replaced(named[name]))


def _values(x: Any) -> NDArray[np.float64]:
    array = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
    return np.sort(array.ravel().real.astype(np.float64))


def _alike(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """The same numbers in any order, to float32."""
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=0.0)


class _Given(TorchFunctionMode):
    """Notes what functions of torch are given that is none of `known` and none of their results."""

    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()
        self.known = {id(x): x for x in known}  # kept alive: an id is given again
        self.outside = list[Any]()
        self.numbers, self.seen = set[float](), set[int]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for x in tree_leaves((args, kwargs or {})):
            if isinstance(x, float):
                self.numbers.add(x)
            elif isinstance(x, Tensor | np.ndarray):
                self.seen.add(id(x))
                if id(x) not in self.known:
                    self.known[id(x)] = x
                    self.outside.append(x)
        result = func(*args, **(kwargs or {}))
        self.known |= {id(x): x for x in tree_leaves(result) if isinstance(x, Tensor)}
        return result


class _Used(TorchFunctionMode):
    """Notes which tensors are given to functions of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = set[int]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen |= {id(x) for x in tree_leaves((args, kwargs or {})) if isinstance(x, Tensor)}
        return func(*args, **(kwargs or {}))
