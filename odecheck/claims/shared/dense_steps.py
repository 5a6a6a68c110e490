"""A preconditioned gradient by a dense solve: what claims about optimizers compare with."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from odecheck_reference import Bounded
from odecheck_reference.bounded import Array
from torch import nn

from odecheck.curvature import Factors
from odecheck.errors import CurvatureError, NotApplicable, Unsupported

EPS = float(np.finfo(np.float64).eps)
DAMPING = 0.3


@contextmanager
def curvature_refused() -> Generator[None]:
    """What cannot be gathered, as of a solve that has no adjoint, is Unsupported and no error of the claim."""
    try:
        yield
    except CurvatureError as reason:
        raise Unsupported(str(reason)) from None


def matrix_of(layer: nn.Linear) -> Array:
    """The gradient of a layer's weight, with its bias as a last column."""
    assert layer.weight.grad is not None
    columns = [layer.weight.grad]
    bias = dict(layer.named_parameters()).get("bias")
    if bias is not None:
        assert bias.grad is not None
        columns.append(bias.grad[:, None])
    return torch.cat(columns, dim=1).numpy().copy()


@dataclass(eq=False)
class Compared:
    """Gradients after a step, and what a dense solve makes of those before it.

    The bar is what a backward stable solve promises, n κ eps of the largest entry with n rows and condition κ, once for
    the dense solve and once for the eigenbases.
    """

    seen: list[Array] = field(default_factory=list[Array])
    right: list[Array] = field(default_factory=list[Array])
    bars: list[Array] = field(default_factory=list[Array])

    def expect(self, factors: Factors, slope: Array) -> None:
        """(A ⊗ B + ε I)⁻¹ vec G of the factors and the gradient G before the step."""
        dense = np.kron(factors.B.numpy(), factors.A.numpy()) + DAMPING * np.eye(slope.size)
        self.right.append(np.asarray(np.linalg.solve(dense, slope.ravel()), dtype=np.float64))
        round_off = 2 * len(dense) * float(np.linalg.cond(dense)) * EPS
        self.bars.append(np.full(len(dense), round_off * float(np.max(np.abs(self.right[-1])))))

    def unchanged(self, slope: Array) -> None:
        """The gradient before the step, which is to stay as it is."""
        self.right.append(slope.ravel())
        self.bars.append(np.zeros(slope.size))

    def observe(self, layer: nn.Linear) -> None:
        """The gradient after the step."""
        self.seen.append(matrix_of(layer).ravel())

    @property
    def both(self) -> tuple[Bounded, Bounded]:
        """Observed and expected, in units of the largest expected entry."""
        seen, right, bars = (np.concatenate(rows) for rows in (self.seen, self.right, self.bars))
        size = float(np.max(np.abs(right)))
        if not size > 0:
            raise NotApplicable("no layer has a gradient")
        return Bounded(seen / size), Bounded(right / size, {"round-off": bars / size})
