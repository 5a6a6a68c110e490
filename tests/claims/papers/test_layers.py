"""SNOPT-5 on a small network: it holds, it refutes its mutants, and it speaks of plain linear layers alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference import Problem, catalogue
from odecheck_reference.fields import Field, GradientFlow, Mlp
from odecheck_reference.losses import SquaredError
from torch import nn

from odecheck.claim import Mutant
from odecheck.claims.papers.layers import LayerIntegrals, layer_factors
from odecheck.engines.torchdiffeq import Backprop
from odecheck.judge import Verdict
from odecheck.record import evaluate
from odecheck.solvers import FixedStep
from odecheck.subject import SHIPPED, Subject

BITTEN = (layer_factors,)
SUBJECT = Subject(SHIPPED, FixedStep("rk4", step=0.05), Backprop())


def posed(field: Field) -> Problem:
    rng = np.random.default_rng(0)
    shape = (2, 1, field.state)
    loss = SquaredError(np.ones(shape), rng.normal(size=shape))
    theta = 0.8 * rng.normal(size=field.params)
    return Problem("of layers", field, rng.normal(size=shape[1:]), theta, np.array([0.0, 0.5]), loss)


NETWORK = posed(Mlp(2, 2, (2,), time=True))


def test_a_right_solve_has_the_blocks_of_its_layers() -> None:
    record = evaluate(layer_factors, SUBJECT, NETWORK)
    assert record.verdict == Verdict.HOLDS, record
    assert record.resolved <= layer_factors.resolution


@pytest.mark.parametrize("mutant", layer_factors.mutants, ids=lambda m: m.name)
def test_it_refutes_its_mutants(mutant: Mutant) -> None:
    record = evaluate(layer_factors, mutant(SUBJECT), NETWORK)
    assert record.verdict == Verdict.REFUTED, record


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (posed(GradientFlow(2, 2, "tanh")), "another way too"),
        (next(p for p in catalogue.full() if p.name == "logistic"), "no linear layer"),
    ],
    ids=["weight used twice", "no layer"],
)
def test_it_does_not_speak_of_other_fields(problem: Problem, reason: str) -> None:
    record = evaluate(layer_factors, SUBJECT, problem)
    assert record.verdict == Verdict.NOT_APPLICABLE, record
    assert reason in record.message


def test_the_slopes_of_one_layer_by_hand() -> None:
    """F = W y: q' = −Wᵀ q, and the block of W moves by −q yᵀ."""
    layer = nn.Linear(2, 2, bias=False).double()

    class Of(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return self.layer(y)

    y, q = torch.tensor([[1.0, 2.0], [0.5, -1.0]]).double(), torch.tensor([[3.0, -1.0], [2.0, 4.0]]).double()
    slopes = LayerIntegrals(Of(), [layer], 2)(torch.tensor(0.0), torch.cat([y, q, torch.zeros(2, 4)], dim=1))
    w = layer.weight.detach()
    torch.testing.assert_close(slopes[:, :2], y @ w.T)
    torch.testing.assert_close(slopes[:, 2:4], -q @ w)
    torch.testing.assert_close(slopes[:, 4:].reshape(2, 2, 2), -torch.einsum("bi,bj->bij", q, y))
