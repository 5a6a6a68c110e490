"""The preconditioner of continuous normalizing flows, whose fields differentiate themselves for the divergence."""

from __future__ import annotations

import pytest
import torch
import torchdiffeq
from torch import Tensor

import odecheck
from odecheck.curvature import kronecker_factors
from odecheck.fields.cnf import CNF, ConcatSquash
from odecheck.optim import SNOpt
from odecheck.solvers import Adaptive, FixedStep

D = torch.float64
SOLVES = {"torchdiffeq": torchdiffeq.odeint_adjoint, "odecheck": odecheck.odeint}
each_solve = pytest.mark.parametrize("solve", SOLVES.values(), ids=SOLVES)


def flow(divergence, solve, solver) -> tuple[CNF, Tensor]:
    torch.manual_seed(0)
    return CNF(ConcatSquash([2, 5, 2]), divergence=divergence, solver=solver, odeint=solve).to(D), torch.randn(
        8, 2, dtype=D
    )


@each_solve
@pytest.mark.parametrize("divergence", ["exact", "rademacher"])
def test_a_flow_with_its_divergence(solve, divergence):
    """What counts is the cotangent of h in the derivative of the loss, not of the divergence's own derivative inside.

    With one step of Euler the adjoint is evaluated once, at the end of the solve: then A = E z zᵀ and B = E g gᵀ there.
    """
    model, x = flow(divergence, solve, FixedStep("euler", 1.0))
    torch.manual_seed(1)
    found = kronecker_factors(model, lambda: (-model.log_prob(x).mean()).backward())["field.inner.layers.0.linear"]

    torch.manual_seed(1)
    noise = model._noise(x)
    rest = () if noise is None else (noise,)
    start = torch.cat([x, torch.zeros(8, 1, dtype=D)], 1)
    end = (start - model.field(torch.ones((), dtype=D), start, *rest)).detach().requires_grad_()
    (a,) = torch.autograd.grad((end[:, :2].square().sum() / 2 - end[:, 2].sum()) / 8, end)
    moved = torch.zeros(8, 5, dtype=D, requires_grad=True)
    layer, seen = model.field.inner.layers[0].linear, []
    handle = layer.register_forward_hook(lambda _m, args, out: (seen.append(args[0]), out + moved)[1])
    (g,) = torch.autograd.grad(model.field(torch.zeros((), dtype=D), end, *rest), moved, a)
    handle.remove()
    z = torch.cat([seen[0], torch.ones(8, 1, dtype=D)], 1).detach()
    torch.testing.assert_close(found.A, z.T @ z / 8, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(found.B, 8 * g.T @ g, rtol=1e-11, atol=1e-13)


@each_solve
@pytest.mark.parametrize("divergence", ["exact", "rademacher"])
def test_a_flow_is_trained(solve, divergence):
    model, x = flow(divergence, solve, Adaptive("dopri5", rtol=1e-4))
    x = 0.3 * x + 1.5
    precondition = SNOpt(model, damping=0.1, refresh=5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = -model.log_prob(x).mean()
        loss.backward()
        precondition.step()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5
    assert len(precondition.state) == 6
