"""What tests of the GPU suite measure: one small gradient, on the CPU where there is no GPU."""

from __future__ import annotations

import torch

from odecheck.bench import gpu
from odecheck.engines.torchdiffeq import Backprop
from odecheck.solvers import FixedStep

SMALL = next(iter(gpu.SIZES))
ITEM = gpu.Item(SMALL, Backprop(), FixedStep("rk4", step=0.25), "gradient")


def row(expected, variant="eager", dtype=torch.float64, device="cpu", item=ITEM):
    return gpu.measured(item, variant, device, dtype, lambda: expected, 1)
