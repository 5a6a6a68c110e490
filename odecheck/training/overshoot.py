"""How far the position of a model's ODE goes away from where it starts: what the papers call stability."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from odecheck.fields.layer import NODELayer
from odecheck.fields.parts import PartedField

from .models import Whole
from .task import Batch, Task

TIMES = 33  # outputs of the solve that is looked at
ROWS = 64  # of the evaluation, the first ones


@torch.no_grad()
def overshoot(task: Task, module: nn.Module, batch: Batch) -> float:
    """The largest ‖h(t)‖ / ‖h(t0)‖, h the position of all rows together, at equally spaced times of one solve.

    Args:
        task: gives the module its rows.
        module: the model, in whatever mode; it is a copy that nobody counts.
        batch: rows, of which the first 64 are taken.

    Returns:
        1 or more. NaN for a model that is not of one layer with a field of named parts, as `OdeNet` is, and for a
        start at zero.

    Raises:
        AssertionError: torchdiffeq gave the solve up, as in `task.loss`.
    """
    layers = [one for one in module.modules() if isinstance(one, NODELayer)]
    if len(layers) != 1 or not isinstance(layers[0].field, Whole):
        return math.nan
    layer, parted = layers[0], layers[0].field.inner
    assert isinstance(parted, PartedField)
    starts: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: starts.append(inputs[0]))
    try:
        task.loss(module, tuple(part[:ROWS] for part in batch))
    finally:
        hook.remove()
    times = torch.linspace(*layer.span, TIMES, dtype=starts[0].dtype, device=starts[0].device)
    states = layer.solver.solve(layer.odeint, layer.field, starts[0], times)
    sizes = parted.parts.split(states)[0].flatten(1).square().sum(dim=1).sqrt()
    return float(sizes.max() / sizes[0]) if sizes[0] > 0 else math.nan
