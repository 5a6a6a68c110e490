"""How many samples a state holds, and whether the calls of layers agree with it: told, or refused, never guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from odecheck.errors import CurvatureError

from .layers import leading

Told = int | Callable[[Any], int] | None
ASK = "Pass samples=: a number, 1 or more, or a function of the state, as samples=len or samples=lambda y: len(y[1])."


def samples_of(state: Tensor | tuple[Tensor, ...], told: Told) -> int:
    """The length of the first axis, 1 of a state without a second; of a tuple, the one that its tensors agree on.

    Raises CurvatureError if they do not agree.
    """
    if told is not None:
        found = told(state) if callable(told) else told
        if not isinstance(found, int) or found < 1:
            raise CurvatureError(f"samples= says {found!r} of a state. {ASK}")
        return found
    parts = [state] if isinstance(state, Tensor) else state
    found = {len(x) for x in parts if x.dim() > 1}
    if len(found) > 1:
        raise CurvatureError(
            f"the state has parts of shapes {', '.join(str(tuple(x.shape)) for x in parts)}, and how many samples they "
            f"hold cannot be told. Usual cause: a part that is not of single samples. {ASK}"
        )
    return found.pop() if found else 1


def check(layer: nn.Module, g: Tensor, samples: int, *, sure: bool) -> None:
    """Raise CurvatureError if the cotangent g of a call has rows for neither each sample nor all of them together.

    sure: whether the samples were told. If not, they have to be the first axis of the call, and several rows in a solve
    of one sample might be samples just as well.
    """
    (lead, rows), conv = leading(layer, g), isinstance(layer, nn.Conv2d)
    if (lead if conv or not sure else rows) % samples == 0:
        if sure or samples > 1 or (lead if conv else rows) == 1:
            return
        raise CurvatureError(
            f"{layer} gives {tuple(g.shape)} in a solve whose state looks like a single sample: these rows may be its "
            f"positions, or samples. Usual cause: samples are not the first axis of the state. {ASK} With samples=len "
            "its first axis counts them, 1 too."
        )
    if lead == 1 and (conv or rows % samples):
        return
    raise CurvatureError(
        f"{layer} gives {tuple(g.shape)} in a solve of {samples} samples, and which rows belong to which sample cannot "
        "be told. Usual cause: the samples are not its first axis, as in layer(y[None]) or layer(torch.stack([y, z])): "
        f"stack on axis 1. Or the first axis of the state is not the samples. {ASK}"
    )
