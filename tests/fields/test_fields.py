"""The torch models fit any feature shape, refuse what does not fit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from odecheck.fields import (
    ANODE,
    GHBNODE,
    HBNODE,
    NODE,
    SONODE,
    AdamNODE,
    Autonomous,
    FieldError,
    Fixed,
    Free,
    Learnt,
    OfTime,
    Parts,
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


@each_model
@pytest.mark.parametrize("images", [False, True], ids=["dense", "images"])
def test_a_model_keeps_any_feature_shape(make, images):
    torch.manual_seed(0)
    h = torch.randn(4, CHANNELS, 5, 6) if images else torch.randn(4, D)
    field = make(convolution, -3, CHANNELS) if images else make(inner, -1, D)
    y = field.start(h)
    assert torch.equal(field.parts.split(y)[0], h)
    assert field(torch.tensor(0.3), y).shape == y.shape
    assert torch.equal(field.parts.join(*field.parts.split(y)), y)
    rows = torch.cat([field(torch.tensor(0.3), row[None]) for row in y])
    torch.testing.assert_close(rows, field(torch.tensor(0.3), y), rtol=1e-5, atol=1e-6)
    each_its_time = torch.full((4, 1, 1, 1) if images else (4, 1), 0.3)
    torch.testing.assert_close(field(each_its_time, y), field(torch.tensor(0.3), y), rtol=1e-6, atol=1e-7)


@each_model
def test_state_dict_round_trip(make):
    torch.manual_seed(0)
    field, other = make(inner, -1, D).double(), make(inner, -1, D).double()
    y = field.start(torch.randn(4, D, dtype=torch.float64))
    t = torch.tensor(0.3, dtype=torch.float64)
    assert not torch.equal(field(t, y), other(t, y))
    other.load_state_dict(field.state_dict())
    assert torch.equal(field(t, y), other(t, y))


def test_a_number_keeps_its_digits_in_float64():
    assert HBNODE(inner(), 0.1).double().gamma(torch.zeros((), dtype=torch.float64)).item() == 0.1


def test_published_starting_values():
    zero = torch.tensor(0.0)
    adam, heavy = AdamNODE(inner()), HBNODE(inner())
    sigmoid = [c(zero).item() for c in (adam.alpha1, adam.alpha2, heavy.gamma)]
    assert sigmoid == pytest.approx([1 / (1 + np.exp(5)), 1 / (1 + np.exp(-5)), 1 / (1 + np.exp(3))], rel=1e-6)


class Minus(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, t, h):
        return -self.inner(t, h)


@pytest.mark.parametrize("model", [HBNODE, GHBNODE])
def test_the_code_is_the_paper_with_m_and_f_negated(model):
    torch.manual_seed(0)
    f, h, m, t = inner(), torch.randn(4, D), torch.randn(4, D), torch.tensor(0.2)
    paper = model(f)(t, torch.cat([h, m], 1))
    code = model(Minus(f), signs="code")(t, torch.cat([h, -m], 1))
    flipped = torch.cat([code[:, :D], -code[:, D:]], 1)
    torch.testing.assert_close(paper, flipped, rtol=1e-6, atol=1e-7)


def wide(t, h):
    return torch.cat([h, h], -1)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: HBNODE(inner())(torch.tensor(0.0), torch.zeros(4, 5)), r"5 along axis -1 does not split .*start\(h\)"),
        (lambda: AdamNODE(inner())(torch.tensor(0.0), torch.zeros(4, 4)), "does not split into the parts h, m, v"),
        (lambda: ANODE(inner(), 3)(torch.tensor(0.0), torch.zeros(4, 3)), r"parts h, a \(3\)"),
        (lambda: HBNODE(convolution(), dim=-3)(torch.tensor(0.0), torch.zeros(4, 6)), "has no axis -3"),
        (lambda: HBNODE(inner(), dim=1), "count it from the end"),
        (lambda: HBNODE(inner()).start(torch.zeros(4, 3), v=torch.zeros(4, 3)), r"parts \('h', 'm'\), not \['v'\]"),
        (lambda: HBNODE(inner()).start(torch.zeros(4, 3), m=torch.zeros(4, 2)), r"'m' has shape \(4, 2\)"),
        (lambda: AdamNODE(inner()).start(torch.ones(1, 3), v=-torch.eye(3)[:1]), "1 negative entries, the smallest -1"),
        (lambda: AdamNODE(inner(), epsilon=0.0), "epsilon is 0.0.*give epsilon > 0"),
        (lambda: AdamNODE(inner(), denominator="both"), "'paper' .* or 'code'"),
        (lambda: HBNODE(inner(), signs="both"), "'paper' .* or 'code'"),
        (lambda: Learnt(0.0, scale=-1.0), "scale is -1.0.*give scale > 0"),
        (lambda: OfTime(nn.Linear(1, 1), scale=0.0), "give scale > 0"),
        (lambda: NODE(wide)(torch.tensor(0.0), torch.zeros(4, 3)), r"turned \(4, 3\) into \(4, 6\)"),
        (
            lambda: NODE(inner())(torch.tensor(0.0), torch.zeros(4, 3).double()),
            r"parameters of torch.float32, the state is torch.float64",
        ),
        (lambda: HBNODE(lambda t, h: h.double())(torch.tensor(0.0), torch.zeros(4, 6)), r"inner.to\(torch.float32\)"),
        (lambda: NODE(lambda t, h: (h, h))(torch.tensor(0.0), torch.zeros(4, 3)), "returned tuple"),
    ],
)
def test_what_does_not_fit_is_refused(act, says):
    with pytest.raises(FieldError, match=says):
        act()


@pytest.mark.parametrize("gamma", [0.0, -0.5, Fixed(-1.0), Free(0.0)])
def test_a_damping_that_does_not_damp_is_warned_of(gamma):
    with pytest.warns(UserWarning, match="not positive"):
        HBNODE(inner(), gamma)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HBNODE(inner(), 0.5)


def test_parts_of_given_and_shared_sizes():
    parts = Parts({"h": None, "m": None, "a": 2})
    assert parts.slices(8) == {"h": slice(0, 3), "m": slice(3, 6), "a": slice(6, 8)}
    for total in (3, 7):
        with pytest.raises(FieldError):
            parts.slices(total)


def test_a_network_of_the_state_alone():
    net = nn.Linear(D, D)
    h = torch.randn(4, D)
    assert torch.equal(NODE(Autonomous(net))(torch.tensor(5.0), h), net(h))
