"""Parameters that take part in a field and of which it does not depend: the additive constant of an energy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
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


class _Used(TorchFunctionMode):
    """Notes which tensors are given to functions of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = set[int]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen |= {id(x) for x in tree_leaves((args, kwargs or {})) if isinstance(x, Tensor)}
        return func(*args, **(kwargs or {}))
