"""What tests of the GPU suite measure: one small gradient, on the CPU where there is no GPU."""

from __future__ import annotations

import torch

from odecheck.bench import gpu, gpu_plan
from odecheck.engines.torchdiffeq import Backprop
from odecheck.solvers import FixedStep

SMALL = next(iter(gpu_plan.SIZES))
ITEM = gpu_plan.Item(SMALL, Backprop(), FixedStep("rk4", step=0.25), "gradient")


def row(expected, variant="eager", dtype=torch.float64, device="cpu", item=ITEM):
    """expected: as `gpu.Expected` gives it, or the result alone."""
    known = (expected, (gpu.NAN, gpu.NAN)) if isinstance(expected, torch.Tensor) else expected
    return gpu.measured(item, variant, device, dtype, lambda item: known, 1)
