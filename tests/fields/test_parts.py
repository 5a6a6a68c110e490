"""Named parts of a state: any feature shape goes, and what does not fit is refused."""

from __future__ import annotations

import pytest
import torch

from odecheck.fields import (
    ANODE,
    HBNODE,
    NODE,
    AdamNODE,
    FieldError,
    Parts,
)
from tests.fields.models import CHANNELS, D, convolution, each_model, inner


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


def test_parts_of_given_and_shared_sizes():
    parts = Parts({"h": None, "m": None, "a": 2})
    assert parts.slices(8) == {"h": slice(0, 3), "m": slice(3, 6), "a": slice(6, 8)}
    for total in (3, 7):
        with pytest.raises(FieldError):
            parts.slices(total)
