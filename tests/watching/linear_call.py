"""A watched solve of a linear field, and its closed form."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import expm
from torchdiffeq import odeint

from odecheck.watching.step import watch

A = np.array([[-0.3, 1.1, 0.2], [-0.9, -0.1, 0.4], [0.3, -0.5, -0.6]])


def linear(times, dtype=torch.float64):
    """The call of y' = A y with L = Σ y(ts)², and dL/dA, dL/dy0 in closed form by complex steps of expm."""
    weight = torch.tensor(A, dtype=dtype, requires_grad=True)
    y0 = torch.tensor([[1.0, -0.5, 0.3]], dtype=dtype, requires_grad=True)
    t = torch.tensor(times, dtype=dtype, requires_grad=True)
    with watch() as step:
        y = odeint(lambda t, y: y @ weight.T, y0, t, rtol=1e-6, atol=1e-8)
        y.square().sum().backward()
    return step.calls[0], 2 * y.detach().double().numpy()[:, 0]


def exact(times, cotangent):
    """y(ts), dL/dy0, dL/dt, dL/dA of ⟨cotangent, y(ts)⟩."""
    y0 = np.array([1.0, -0.5, 0.3])
    flows = [expm(A * (t - times[0])) for t in times]
    y = np.stack([m @ y0 for m in flows])
    dt = np.array([w @ A @ v for w, v in zip(cotangent, y, strict=True)])
    dt[0] = -sum(w @ A @ v for w, v in zip(cotangent[1:], y[1:], strict=True))
    dA = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            moved = A.astype(complex)
            moved[i, j] += 1e-30j
            ends = zip(cotangent, times, strict=True)
            dA[i, j] = sum((w @ expm(moved * (t - times[0])) @ y0).imag / 1e-30 for w, t in ends)
    return y, sum(w @ m for w, m in zip(cotangent, flows, strict=True)), dt, dA
