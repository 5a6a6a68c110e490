"""A field in float64 although its forward makes float32 of its own: constants, casts, noise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from odecheck.compat import tree_leaves, tree_map
from odecheck.fields.circumstances import default_double

HALF = (torch.float16, torch.bfloat16)
LOW = (torch.float32, *HALF)
RANDOM = ("bernoulli", "normal", "multinomial", "poisson")
RANDOM_IN_PLACE = ("normal_", "uniform_", "bernoulli_", "exponential_")


class InDouble(TorchFunctionMode):
    """Promotes what a field makes for itself in float32, and keeps its values; random numbers stay those of its own.

    So a constant 0.1 is the float32 number 0.1 in float64, and noise is the very noise that the user's field drew: in
    another dtype a generator gives other numbers.

    own: the dtype of the state in the step.
    """

    def __init__(self, own: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.own = own

    def _down(self, x: Any) -> Any:
        if isinstance(x, Tensor):
            return x.to(self.own) if x.dtype == torch.float64 else x
        return self.own if x is torch.float64 else x

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One function of torch, with its arguments and its result in float64."""
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name in ("float", "half", "bfloat16") or (name == "type" and len(args) > 1 and "loat" in str(args[1])):
            return args[0].double()
        if "dropout" in name and isinstance(args[0], Tensor):
            return args[0] * func(torch.ones_like(args[0], dtype=self.own), *args[1:], **kwargs).double()
        if name in RANDOM_IN_PLACE and isinstance(args[0], Tensor):
            with torch.no_grad():
                return args[0].copy_(func(torch.empty_like(args[0], dtype=self.own), *args[1:], **kwargs))
        if "rand" in name or name in RANDOM:
            return tree_map(_up, func(*tree_map(self._down, args), **tree_map(self._down, kwargs)))
        in_place = name.endswith("_") or name in ("__get__", "__set__")
        if not in_place and any(isinstance(x, Tensor) for x in tree_leaves((args, kwargs))):
            args, kwargs = tree_map(_up, args), tree_map(_up, kwargs)
        out = func(*args, **kwargs)
        return out if in_place else tree_map(lambda x: _up(x) if isinstance(x, Tensor) else x, out)


def _up(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.double() if x.dtype in LOW else x
    return torch.float64 if isinstance(x, torch.dtype) and x in LOW else x


def half_inside(evaluate: Callable[[], Any]) -> torch.dtype | None:
    """In which half precision a field makes tensors when it is evaluated; None where it makes none."""
    seen: list[torch.dtype] = []

    class Listen(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            seen.extend(x.dtype for x in tree_leaves(out) if isinstance(x, Tensor) and x.dtype in HALF)
            return out

    with Listen():
        evaluate()
    return seen[0] if seen else None


def cheapest(
    evaluate: Callable[[], list[Tensor]], own: torch.dtype
) -> tuple[str, Callable[[], AbstractContextManager[Any]]]:
    """The cheapest way to call a field in float64 that gives, bit for bit, what promotion gives.

    Args:
        evaluate: calls the field at an interior time (at 0 a rounded time hides), after a first evaluation (what is
            drawn at random in the first one is drawn there).
        own: the dtype of the state in the step.

    Returns:
        Its name and what to enter for each call: nothing, another default dtype, or `InDouble`.
    """
    with InDouble(own):
        wanted = evaluate()
    modes: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "nothing": nullcontext,
        "default dtype": default_double,
    }
    for name, mode in modes.items():
        try:
            with mode():
                got = evaluate()
        except Exception:  # mixed dtypes: the user's field has to be helped
            continue
        if all(a.dtype == torch.float64 and torch.equal(a, b) for a, b in zip(got, wanted, strict=True)):
            return name, mode
    return "promotion", lambda: InDouble(own)
