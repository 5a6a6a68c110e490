"""What the battery alone asks: the optimizer's step, and derivatives of the very steps.

No claims of `odecheck.claims`: no solver library has this optimizer, and all that is promised there is about the flow.
A wrong derivative of steps that becomes right as they become short is inconclusive for a claim about the flow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from odecheck_reference import Bounded, Problem
from odecheck_reference.bounded import Array
from torch import nn

from .. import mutants as wrong
from ..claim import Mutant, NotApplicable, claim
from ..claims.gathered import ended_problem
from ..curvature import Gather, KroneckerSums
from ..engines.base import graph_of
from ..engines.torchdiffeq import Backprop
from ..mutants import WrongEngine
from ..optim.snopt import SNOpt
from ..solvers import FixedStep, Solver
from ..subject import Subject

EPS = float(np.finfo(np.float64).eps)
DAMPING = 0.3
LAYERS, SUMMED = 3, 16  # products and terms of a call of the fields that the battery asks STEP-1 of, at most


class Undamped(SNOpt):
    """The damping is a thousandth of what was asked for."""

    def step(self, closure: Any = None) -> Any:
        self.param_groups[0]["damping"] /= 1000
        return super().step(closure)


class Idle(SNOpt):
    """Gradients stay what they are."""

    def step(self, closure: Any = None) -> Any:
        return None


@dataclass(frozen=True)
class Training(WrongEngine):
    """A right engine, and the class of the optimizer that trains with it."""

    optimizer: type[SNOpt] = SNOpt

    def attached(self, module: nn.Module, solver: Solver, y0: Any, ts: torch.Tensor) -> Any:
        return graph_of(self.right).attached(module, solver, y0, ts)


def _with(optimizer: type[SNOpt]) -> Mutant:
    name = f"SNOpt: {optimizer.__name__.lower()}"
    return Mutant(name, lambda s: replace(s, engine=Training(s.engine, name, optimizer=optimizer)))


@claim("OPT-1", source="arXiv:2109.14158: the preconditioned step", resolution=1e-8,
       mutants=[_with(Undamped), _with(Idle)])  # fmt: skip
def step_is_a_dense_solve(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Every step of SNOpt makes (A ⊗ B + ε I)⁻¹ vec G of a layer's gradient G, with A and B of its last refresh.

    A and B of the refresh are gathered a second time, by a sink of its own along the same solve. The second step is no
    refresh, and has the factors of the first. The bar is what a backward stable solve promises, n κ eps of the largest
    entry with n rows and condition κ, once for the dense solve and once for the eigenbases.
    """
    ended = ended_problem(problem)
    optimizer = subject.engine.optimizer if isinstance(subject.engine, Training) else SNOpt

    def observe(module: nn.Module, y0: torch.Tensor, ts: torch.Tensor, loss: Any) -> tuple[Array, Array, Array]:
        sums, attached = KroneckerSums(), graph_of(subject.engine).attached
        with (gather := Gather(module, sums)):
            loss(attached(module, subject.solver, y0, ts)).backward()
        gather.finish()
        layers = [m for m in module.modules() if isinstance(m, nn.Linear)]
        factors = sums.factors(along=set(layers), reduction="sum", rank=1)
        if not factors:
            raise NotApplicable("the field has no linear layer")
        precondition = optimizer(module, damping=DAMPING, refresh=2, reduction="sum")
        seen: list[Array] = []
        right: list[Array] = []
        bars: list[Array] = []
        for scale in (1.0, -0.5):
            module.zero_grad()
            (scale * loss(attached(module, subject.solver, y0, ts))).backward()
            for layer in layers:
                a, b = factors[layer].A.numpy(), factors[layer].B.numpy()
                slope = _matrix(layer)
                dense = np.kron(b, a) + DAMPING * np.eye(len(a) * len(b))
                right.append(np.asarray(np.linalg.solve(dense, slope.ravel()), dtype=np.float64))
                round_off = 2 * len(dense) * float(np.linalg.cond(dense)) * EPS
                bars.append(np.full(len(dense), round_off * float(np.max(np.abs(right[-1])))))
            precondition.step()
            seen += [_matrix(layer).ravel() for layer in layers]
        return np.concatenate(seen), np.concatenate(right), np.concatenate(bars)

    seen, right, bars = subject.observe(ended, observe)
    size = float(np.max(np.abs(right)))
    if not size > 0:
        raise NotApplicable("no layer has a gradient")
    return Bounded(seen / size), Bounded(right / size, {"round-off": bars / size})


@claim("STEP-1", source="the chain rule, step by step", resolution=1e-8,
       mutants=[wrong.scaled("y0", 1 + 1e-6), wrong.scaled("theta", 1 + 1e-6), wrong.TRANSPOSED_JACOBIAN])  # fmt: skip
def derivatives_of_the_very_steps(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dy0 and dL/dtheta of fixed steps are those of backpropagation through the same steps, to round-off.

    That is an eps for each product in the chain, of which there are LAYERS in each of four stages of every step; a sum
    in it is over at most SUMMED terms.
    """
    if subject.engine.target != "steps" or not isinstance(subject.solver, FixedStep):
        raise NotApplicable("no derivatives of fixed steps")
    mine, theirs = (s.gradient(problem) for s in (subject, replace(subject, engine=Backprop(), around=())))
    observed = np.concatenate([mine.y0.ravel(), mine.theta])
    expected = np.concatenate([theirs.y0.ravel(), theirs.theta])
    steps = np.ceil(abs(problem.ts[-1] - problem.ts[0]) / subject.solver.step) + len(problem.ts)
    bar = 4 * steps * LAYERS * SUMMED * EPS * float(np.max(np.abs(expected)))
    return Bounded(observed), Bounded(expected, {"round-off": np.full(len(expected), bar)})


def _matrix(layer: nn.Linear) -> Array:
    """The gradient of a layer's weight, with its bias as a last column."""
    assert layer.weight.grad is not None
    columns = [layer.weight.grad]
    if layer.bias is not None:
        assert layer.bias.grad is not None
        columns.append(layer.bias.grad[:, None])
    return torch.cat(columns, dim=1).numpy().copy()
