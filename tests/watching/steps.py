"""A training step, watched."""

from __future__ import annotations

import torch

from odecheck.watching.step import watch


def stepped(make):
    torch.manual_seed(0)
    run = make()
    with watch() as step:
        run()
    return step
