"""Whether the derivatives of a module are those of a function of (t, y, theta): one gradient in many circumstances.

`derivatives` holds reverse mode against values in one circumstance: a few rows, all inputs tracked. A training is in
others: its own number of rows, times that need no gradient, a start that needs none. A custom backward that looks at
the number of rows or at `ctx.needs_input_grad` may be right there and wrong here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .answers import OF_INPUTS, OF_ROWS, OF_VALUE, Answer
from .function import places_of
from .line import EPS
from .points import AROUND, Path

PLACES = 3
# a gradient's part that is smaller than this share of the whole is known to the rounding of the whole
SMALL = 1e-3
# by how many times what its own inputs' rounding moves a gradient may be off
SHAKEN = 100.0
# which of t, y and theta need a gradient; all of them do where derivatives are held against values
TRACKED = ("y theta", "theta", "y", "t y", "t theta", "t")

_grad: Callable[..., Sequence[Tensor | None]] = torch.autograd.grad
Parts = dict[str, Tensor]
VALUE = "value"


@dataclass(frozen=True, eq=False)
class _Asked:
    """A module at a time, pulled back by fixed weights of its first rows."""

    module: nn.Module
    t: Tensor
    weight: Tensor

    def __call__(self, y: Tensor, tracked: str = "t y theta", weight: Tensor | None = None) -> Parts | None:
        """The value and the gradients of what is tracked, of the first rows; None where it raises."""
        kinds, weight = tracked.split(), self.weight if weight is None else weight
        params = {f"theta {k}": p for k, p in self.module.named_parameters() if p.requires_grad}
        t, y = self.t.clone().requires_grad_("t" in kinds), y.clone().requires_grad_("y" in kinds)
        inputs = {k: x for k, x in {"t": t, "y": y, **params}.items() if k.split()[0] in kinds}
        try:
            for p in params.values():
                p.requires_grad_("theta" in kinds)
            with torch.enable_grad():
                value = self.module(t, y * 1.0)[: len(weight)]
                pulled = (value * weight).sum()
            got: Sequence[Tensor | None] = [None] * len(inputs)
            if pulled.requires_grad:
                got = _grad(pulled, list(inputs.values()), allow_unused=True)
        except Exception:
            return None
        finally:
            for p in params.values():
                p.requires_grad_(True)
        found = {k: torch.zeros_like(x) if g is None else g for (k, x), g in zip(inputs.items(), got, strict=True)}
        found |= {"y": found["y"][: len(weight)]} if "y" in found else {}
        return found | {VALUE: value.detach().clone()}

    def row_by_row(self, y: Tensor) -> Parts | None:
        """The same of one row after the other: gradients in t and theta add up. None of many rows."""
        if len(y) > len(AROUND):
            return None
        alone = [self(y[i : i + 1], weight=self.weight[i : i + 1]) for i in range(len(y))]
        known = [one for one in alone if one is not None]
        if len(known) < len(y):
            return None
        beside = {k: torch.cat([x[k] for x in known]) for k in ("y", VALUE)}
        return {k: torch.stack([x[k] for x in known]).sum(dim=0) for k in known[0] if k not in beside} | beside


def ask_circumstances(
    make: Callable[[], nn.Module], path: Path, features: tuple[int, ...], *, seed: int = 0
) -> tuple[Answer, ...]:
    """Ask the same gradients for other numbers of rows and with other inputs tracked.

    Args:
        make: A float64 module, made anew at each call as it was before anything was asked.
        path: States to ask at and around.
        features: The shape of one row of the state.
        seed: Of the places and weights.

    Returns:
        An answer to each of OF_ROWS, OF_VALUE and OF_INPUTS that could be asked; what raises in one of the
        circumstances is not asked there.
    """
    generator = torch.Generator().manual_seed(seed)
    found = dict[str, Answer]()

    def compared(question: str, t: Tensor, gap: float) -> None:
        if question not in found or not gap <= found[question].gap:
            found[question] = Answer(question, gap, float(t))

    for t, y in places_of(path, features, np.random.default_rng(seed), make, PLACES):
        asked = _Asked(make(), t, torch.randn(y.shape, generator=generator, dtype=y.dtype))
        many = torch.cat([y] * (1 + max(1, -(-len(AROUND) // len(y)))))
        true, near = asked(many), asked(many * (1 + 2 * EPS))
        if true is None or near is None:
            continue
        noise = {k: SHAKEN * float((near[k] - g).abs().max()) if g.numel() else 0.0 for k, g in true.items()}
        sizes = _sizes(true, path)
        here = asked(y)
        for seen in (here, asked.row_by_row(y)):
            if seen is not None:
                compared(OF_ROWS, t, _off(seen, true, noise, sizes))
        for tracked in TRACKED:
            seen = asked(y, tracked)
            if seen is not None and here is not None:
                compared(OF_VALUE, t, _off({VALUE: seen.pop(VALUE)}, here, noise, sizes))
                compared(OF_INPUTS, t, _off(seen, here, noise, sizes))
    return tuple(found[q] for q in (OF_ROWS, OF_VALUE, OF_INPUTS) if q in found)


def _sizes(true: Parts, path: Path) -> dict[str, float]:
    """How large each part is; of what all but vanishes, a share of what it is a part of."""
    largest = {k: float(g.abs().max()) if g.numel() else 0.0 for k, g in true.items()}
    whole = max((size for k, size in largest.items() if k.startswith("theta")), default=0.0)
    units = {"t": largest[VALUE] / path.length, "y": largest[VALUE] / float(path.size.max())}
    return {
        k: size + SMALL * (whole if k.startswith("theta") else SMALL * units.get(k, 0.0)) for k, size in largest.items()
    }


def _off(seen: Parts, true: Parts, noise: dict[str, float], sizes: dict[str, float]) -> float:
    """The largest distance of a part, in its size, beyond what rounding explains."""
    worst = 0.0
    for k, g in seen.items():
        if g.numel() and bool(torch.isfinite(true[k]).all()) and np.isfinite(noise[k]):
            gap = float((g - true[k]).abs().max()) - noise[k]
            worst = max(worst, 0.0 if gap <= 0 else gap / sizes[k] if sizes[k] and np.isfinite(gap) else float("inf"))
    return worst
