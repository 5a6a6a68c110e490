"""torchdyn and torchode: their solves are rows like those of torchdiffeq."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from odecheck.watching.step import watch


def dense():
    """A small network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 3))


def of_torchdyn(sensitivity):
    pytest.importorskip("torchdyn")
    from odecheck.engines.torchdyn import _library  # its core without Lightning and torchvision

    torch.manual_seed(0)
    problem = _library("core.problems").ODEProblem(
        vector_field=dense(), solver="dopri5", sensitivity=sensitivity, atol=1e-5, rtol=1e-5, atol_adjoint=1e-5,
        rtol_adjoint=1e-5,
    )  # fmt: skip
    x, t = torch.randn(4, 3), torch.tensor([0.0, 0.5, 1.0])

    def step():
        problem(x, t)[1].square().mean().backward()

    return step, list(problem.vf.parameters())


def of_torchode():
    torchode = pytest.importorskip("torchode")
    net = dense()
    term = torchode.ODETerm(lambda t, y: net(y) * torch.cos(t)[:, None])
    controller = torchode.IntegralController(atol=1e-5, rtol=1e-5, term=term)
    solver = torchode.AutoDiffAdjoint(torchode.Dopri5(term=term), controller)
    times = torch.linspace(0, 1, 4).expand(5, 4).contiguous()
    y0 = torch.randn(5, 3)

    def step():
        solver.solve(torchode.InitialValueProblem(y0=y0, t_eval=times)).ys.square().mean().backward()

    return step, list(net.parameters())


MAKERS = {
    "torchdyn by autograd": lambda: of_torchdyn("autograd"),
    "torchdyn by its adjoint": lambda: of_torchdyn("adjoint"),
    "torchode": of_torchode,
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_right_model_is_judged_and_nothing_changes(name):
    torch.manual_seed(1)
    plain, parameters = MAKERS[name]()
    plain()
    expected = [p.grad.clone() for p in parameters]
    torch.manual_seed(1)
    watched, parameters = MAKERS[name]()
    with watch() as step:
        watched()
    assert all(torch.equal(p.grad, g) for p, g in zip(parameters, expected, strict=True))
    assert len(step.rows) == 1
    assert step.findings == []
    assert step.rows[0].verdict == "holds", str(step)
    assert step.rows[0].quantities["dL/dtheta"].error < 1e-2
    assert step.rows[0].nfe[0] > 10
    assert all(torch.equal(p.grad, g) for p, g in zip(parameters, expected, strict=True))
