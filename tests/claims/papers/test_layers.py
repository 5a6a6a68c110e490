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
from odecheck.claims.papers.layers import LayerIntegrals, layer_factors, only_in_layers
from odecheck.engines.torchdiffeq import Backprop
from odecheck.errors import NotApplicable
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


class Energy(nn.Module):
    """The gradient of an energy: the last layer's output goes into a gradient, and not into the value."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(2, 3).double(), nn.Linear(3, 1).double()

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        energy = self.outer(torch.tanh(self.inner(y)))
        return torch.autograd.grad(energy.sum(), y, create_graph=True)[0]


class RowByRow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2).double()

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.inner(row) for row in y])


@pytest.mark.parametrize(("module", "words"), [(Energy(), "another way"), (RowByRow(), "without a batch axis")])
def test_layers_that_have_no_such_blocks_are_not_asked(module: nn.Module, words: str) -> None:
    with pytest.raises(NotApplicable, match=words):
        only_in_layers(module, [m for m in module.modules() if isinstance(m, nn.Linear)], NETWORK)
