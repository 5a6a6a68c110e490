"""Steps whose model is on a GPU, on a stand-in that refuses what a real one does."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint, odeint_event

import odecheck
from odecheck.watching.step import watch

from ..bench.stand_in import CUDA, a_gpu


@pytest.fixture
def gpu(monkeypatch):
    with a_gpu(monkeypatch) as made:
        yield made


class Field(nn.Module):
    def __init__(self, dtype, cut=False):
        super().__init__()
        self.cut = cut
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 3, generator=generator, dtype=dtype).to(CUDA))

    def forward(self, t, y):
        return torch.tanh((y.detach() if self.cut else y) @ self.weight) * torch.cos(t)


def start(dtype, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype).to(CUDA)


@pytest.mark.parametrize("solve", [odeint, odeint_adjoint, odecheck.odeint])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_right_step_holds(gpu, solve, dtype):
    field, y0 = Field(dtype), start(dtype, 4, 3)
    t = torch.linspace(0, 1, 3, dtype=dtype).to(CUDA)
    with watch() as step:
        (solve(field, y0, t, rtol=1e-5, atol=1e-6)[-1] ** 2).mean().backward()
    assert step.rows[0].verdict is odecheck.HOLDS, str(step)
    assert not gpu.mixed


def test_a_wrong_step_is_named_there_too(gpu):
    field, y0 = Field(torch.float64, cut=True), start(torch.float64, 4, 3)
    with watch() as step:
        odeint(field, y0, torch.tensor([0.0, 1.0]).double().to(CUDA))[-1].sum().backward()
    assert step.rows[0].verdict is odecheck.REFUTED
    assert "cut off" in [f.kind for f in step.rows[0].findings]


def test_times_may_have_stayed_on_the_cpu(gpu):
    """torchdiffeq takes them to the state, and so the field gets them."""

    class Beside(Field):
        def forward(self, t, y):
            return torch.cat([y[:, :2] @ self.weight[:2, :2], t.expand(len(y), 1)], 1)

    field, y0 = Beside(torch.float64), start(torch.float64, 4, 3)
    with watch() as step, pytest.warns(UserWarning, match="not on the same device"):
        odeint_adjoint(field, y0, torch.tensor([0.0, 1.0]).double())[-1].sum().backward()
    assert step.rows[0].verdict is odecheck.HOLDS, str(step)
    assert not gpu.mixed


def test_a_solve_to_an_event(gpu):
    field, y0 = Field(torch.float64), start(torch.float64, 3).requires_grad_()
    with watch() as step:
        t0 = torch.zeros((), dtype=torch.float64).to(CUDA)
        first = float(y0[0])
        t, y = odeint_event(field, y0, t0, event_fn=lambda t, y: y[0] - 0.9 * first, odeint_interface=odeint)
        (t + y[-1].sum()).backward()
    assert step.rows[0].verdict is odecheck.HOLDS, str(step)


def test_noise_that_the_field_draws_there_is_drawn_again(gpu):
    class Noisy(Field):
        def __init__(self):
            super().__init__(torch.float64)
            self.noise = None

        def forward(self, t, y):
            if self.noise is None:
                self.noise = torch.randn_like(y)
            return super().forward(t, y) + self.noise

    with watch() as step:
        odeint_adjoint(Noisy(), start(torch.float64, 4, 3), torch.tensor([0.0, 1.0]).double().to(CUDA))[
            -1
        ].sum().backward()
    assert step.rows[0].verdict is odecheck.HOLDS, str(step)


def test_a_device_without_float64_is_said(monkeypatch):
    monkeypatch.setattr("odecheck.watching.call.NO_DOUBLE", ("cpu",))
    with watch() as step:
        odeint(lambda t, y: -y, torch.ones(2), torch.tensor([0.0, 1.0]))
    assert step.rows[0].verdict is odecheck.INCONCLUSIVE
    assert "has no float64 to know the truth in" in str(step).replace("\n  ", " ")
