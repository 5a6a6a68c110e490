"""What a flow of densities promises (FLOW-1): of odecheck's class, or of the one in a subject's `kit`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, solution, volume
from odecheck_reference.bounded import Array
from torch import nn

from odecheck import ode
from odecheck.claim import claim, family
from odecheck.claims.shared.kit import of_kit
from odecheck.mutants import optimizers as wrong
from odecheck.refinement import ladder
from odecheck.subject import Subject

ODEINT: Any = vars(ode)["odeint"]
FLOW = family("FLOW", title="What a flow of densities promises", order=220)


@claim(
    "FLOW-1",
    source="arXiv:1806.07366: the instantaneous change of variables",
    resolution=1e-5,
    mutants=[wrong.UNSIGNED],
)
def change_is_the_volume(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The change of a flow's log-density is log det ∂y(T)/∂y(t0), back and forth; and the rows come back."""
    truth, states = volume(problem), solution(problem)

    def observe(s: Subject) -> Array:
        def run(module: nn.Module, y0: torch.Tensor, ts: torch.Tensor, _: Any) -> Array:
            span = float(ts[0]), float(ts[-1])
            flow = of_kit(s, "flow")(module, span=span, solver=s.solver, odeint=ODEINT)
            y, change = flow.inverse(y0)
            z, back = flow(y)
            parts = y, z, change.exp(), (-back).exp()
            return np.concatenate([part.detach().numpy().ravel() for part in parts])

        return s.observe(problem, run)

    ends, radii = states.value[-1].ravel(), states.radius[-1].ravel()
    start = problem.y0.ravel()
    value = np.concatenate([ends, start, truth.value, truth.value])
    radius = np.concatenate([radii, np.zeros_like(start), truth.radius, truth.radius])
    return ladder(subject, observe), Bounded(value, {"variational equations": radius})
