"""A recurrent network on irregular times: rows flow on their own times, and jump where they were observed."""

from __future__ import annotations

import pytest
import torch
from odecheck_reference import fields as exact
from torchdiffeq import odeint, odeint_adjoint

from odecheck.fields import ANODE, GHBNODE, HBNODE, NODE, ODERNN, FieldError, GRUJump, LinearJump
from odecheck.fields.from_reference import torch_twin
from odecheck.fields.layer import ADJOINT
from odecheck.fields.ode_rnn import Stretched
from odecheck.solvers import Adaptive
from tests.fields.models import inner

TIGHT = Adaptive("dopri5", rtol=1e-10)


FIELDS = {
    "NODE": (lambda: NODE(inner(4, 4)), None),
    "ANODE, jump of a part": (lambda: ANODE(inner(4, 4), 1), "h"),
    "HBNODE, jump of h": (lambda: HBNODE(inner(2, 2)), "h"),
    "GHBNODE, jump of the whole": (lambda: GHBNODE(inner(2, 2)), None),
    "GHBNODE, jump of m": (lambda: GHBNODE(inner(2, 2)), "m"),
}


each_field = pytest.mark.parametrize(("make", "part"), FIELDS.values(), ids=FIELDS.keys())


def sequences():
    """Irregular times of three rows (two of them with a repetition, as in padding), observations, parameters."""
    torch.manual_seed(3)
    t = torch.rand(3, 5, dtype=torch.float64).cumsum(1)
    t[1, 3:] = t[1, 2]
    t[2, 1] = t[2, 0]
    return t, torch.randn(3, 5, 2, dtype=torch.float64)


def recurrent(make, part, jump=GRUJump, solver=TIGHT, differentiate=ADJOINT):
    torch.manual_seed(4)
    field = make()
    sizes = {"h": field.parts.slices(4)["h"].stop, "m": 2, None: 4}
    return ODERNN(field, jump(2, sizes[part]), 4, part=part, solver=solver, odeint=differentiate).double()


def alone(model, t, x):
    """One row, from observation to observation on its own times."""
    y = torch.zeros(1, 4, dtype=torch.float64)
    seen = []
    for i in range(len(t)):
        if i > 0 and t[i] > t[i - 1]:
            y = odeint(model.inner, y, t[i - 1 : i + 1], rtol=1e-11, atol=1e-13)[-1]
        if model.part is None:
            y = model.jump(y, x[i][None])
        else:
            place = model.inner.parts.slices(4)[model.part]
            y = torch.cat([y[:, : place.start], model.jump(y[:, place], x[i][None]), y[:, place.stop :]], 1)
        seen.append(y)
    return torch.cat(seen)


@each_field
@pytest.mark.parametrize("jump", [GRUJump, LinearJump])
def test_rows_of_a_batch_flow_on_their_own_times(make, part, jump):
    t, x = sequences()
    model = recurrent(make, part, jump)
    after = model(t, x).after
    for row in range(3):
        torch.testing.assert_close(after[row], alone(model, t[row], x[row]), rtol=1e-8, atol=1e-8)


def test_a_field_that_is_not_autonomous_sees_the_time_of_each_row():
    field = torch_twin(exact.Pendulum())(torch.tensor([1.0, 0.2, 0.7, 2.0], dtype=torch.float64))
    y = torch.randn(3, 2, dtype=torch.float64)
    begin, length = torch.tensor([0.0, 1.0, 2.0]).double(), torch.tensor([0.5, 0.0, 1.5]).double()
    s = torch.tensor(0.4, dtype=torch.float64)
    slope = Stretched(field)(s, y, begin, length)
    for row in range(3):
        expected = length[row] * field(begin[row] + s * length[row], y[row : row + 1])
        torch.testing.assert_close(slope[row : row + 1], expected, rtol=1e-14, atol=1e-15)


def test_wrong_times_of_the_rows_would_be_seen():
    """The mutants of the comparison above: the interval's own time, or its length, taken as that of the first row."""
    t, x = sequences()
    model = recurrent(*FIELDS["GHBNODE, jump of the whole"])
    expected = torch.stack([alone(model, t[row], x[row]) for row in range(3)])
    for wrong in (t[:1].expand(3, -1), t - t[:, :1]):
        assert (model(wrong.contiguous(), x).after - expected).abs().max() > 1e-5


@each_field
def test_the_adjoint_of_a_sequence_is_its_backpropagation(make, part):
    t, x = sequences()
    grads = []
    for differentiate in (odeint_adjoint, odeint):
        model = recurrent(make, part, differentiate=differentiate)
        model(t, x).after.square().sum().backward()
        grads.append([p.grad for p in model.parameters()])
    for adjoint, backprop in zip(*grads, strict=True):
        torch.testing.assert_close(adjoint, backprop, rtol=1e-6, atol=1e-8)


def test_nothing_jumps_where_nothing_was_observed():
    t, x = sequences()
    model = recurrent(*FIELDS["HBNODE, jump of h"])
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[1, 3:] = False
    before, after = model(t, x, mask)
    assert torch.equal(before[1, 3:], after[1, 3:])
    torch.testing.assert_close(after[1, 3], after[1, 2], rtol=1e-12, atol=1e-12)
    assert not torch.equal(before[0, 3:], after[0, 3:])
    torch.testing.assert_close(after[0], model(t, x).after[0], rtol=1e-8, atol=1e-8)


def rnn():
    return recurrent(*FIELDS["HBNODE, jump of h"])


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda t, x: rnn()(t[:, :4], x), r"t has shape \(3, 4\), x \(3, 5, 2\); give t \(batch, times\)"),
        (lambda t, x: rnn()(t, x, torch.ones(3)), r"mask \(3,\)"),
        (lambda t, x: rnn()(t.flip(1), x), r"times decrease in rows \[0, 1, 2\]"),
        (lambda t, x: rnn()(t.requires_grad_(), x), r"give t\.detach\(\)"),
        (lambda t, x: ODERNN(HBNODE(inner()), GRUJump(2, 3), 5), "5 along axis -1 does not split"),
        (lambda t, x: ODERNN(HBNODE(inner()), GRUJump(2, 3), 6, part="v"), "no part 'v'"),
    ],
)
def test_what_does_not_fit_is_refused(act, says):
    torch.manual_seed(0)
    with pytest.raises((FieldError, TypeError), match=says):
        act(*sequences())
