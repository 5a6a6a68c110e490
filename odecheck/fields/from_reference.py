"""The torch module of a numpy field: the same formula, written a second time in torch.

Every module of this folder is looked into for twins, registered with `build.register` beside the torch module. A field
of your own gets its twin in the same way, in a file of your own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

import torch
from torch import Tensor, nn

from .node import NODE
from .parts import PartedField
from .twins import build

__all__ = ["build", "torch_twin"]


def _find() -> None:
    """Import every module of this folder, so that each registers its twins."""
    for file in iter_modules(sys.modules[__package__ or ""].__path__, f"{__package__}."):
        import_module(file.name)


_find()


def torch_twin(field: object) -> Callable[[Tensor], nn.Module]:
    """theta (params,) → the torch module of `field`, with theta as its parameters, flattened in order.

    The module has the number type and the device of theta, and its own copy of it. A field without named parts of
    its own comes as a `NODE` over it.
    Raises TypeError for a field without a twin, ValueError when theta has another length than the parameters.
    """

    def at(theta: Tensor) -> nn.Module:
        built = build(field).to(theta)
        module = built if isinstance(built, PartedField) else NODE(built)
        sizes = [p.numel() for p in module.parameters()]
        if theta.shape != (sum(sizes),):
            raise ValueError(
                f"theta has shape {tuple(theta.shape)}, but {type(field).__name__} has {sum(sizes)} parameters"
            )
        with torch.no_grad():
            for parameter, values in zip(module.parameters(), theta.detach().split(sizes), strict=True):
                parameter.copy_(values.reshape(parameter.shape))
        return module

    return at
