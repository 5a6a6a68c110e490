"""Every model of named parts, in the forms that its arguments give it, on features and on images."""

from __future__ import annotations

import pytest
from torch import nn

from odecheck.fields import (
    ANODE,
    GHBNODE,
    HBNODE,
    NODE,
    SONODE,
    AdamNODE,
    Free,
    Learnt,
    OfTime,
    WithTime,
)

D, CHANNELS = 3, 2


def inner(inputs=D, outputs=D):
    return WithTime(nn.Sequential(nn.Linear(inputs + 1, 8), nn.Tanh(), nn.Linear(8, outputs)))


def convolution(inputs=CHANNELS, outputs=CHANNELS):
    return WithTime(nn.Sequential(nn.Conv2d(inputs + 1, outputs, 3, padding=1), nn.Tanh()), dim=-3)


MODELS = {
    "NODE": lambda f, dim, n: NODE(f(n, n), dim),
    "ANODE": lambda f, dim, n: ANODE(f(n + 2, n + 2), 2, dim),
    "SONODE": lambda f, dim, n: SONODE(f(2 * n, n), dim=dim),
    "SONODE of x": lambda f, dim, n: SONODE(f(n, n), velocity=False, dim=dim),
    "HBNODE": lambda f, dim, n: HBNODE(f(n, n), dim=dim),
    "HBNODE, code": lambda f, dim, n: HBNODE(f(n, n), signs="code", dim=dim),
    "HBNODE, learnt damping": lambda f, dim, n: HBNODE(f(n, n), Learnt(0.0, scale=2.0), dim=dim),
    "HBNODE, damping of time": lambda f, dim, n: HBNODE(f(n, n), OfTime(nn.Linear(1, 1)), dim=dim),
    "HBNODE, a function of time": lambda f, dim, n: HBNODE(f(n, n), lambda t: 1 + t * t, dim=dim),
    "GHBNODE": lambda f, dim, n: GHBNODE(f(n, n), dim=dim),
    "GHBNODE, hardtanh": lambda f, dim, n: GHBNODE(f(n, n), 0.5, 1.0, nn.Hardtanh(-5, 5), "code", dim),
    "AdamNODE": lambda f, dim, n: AdamNODE(f(n, n), dim=dim),
    "AdamNODE, code": lambda f, dim, n: AdamNODE(f(n, n), Free(0.1), Free(0.9), 1e-8, "code", dim),
}


each_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
