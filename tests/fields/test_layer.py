"""Models in use: a layer of a classifier that trains, and a recurrent network on irregular times."""

from __future__ import annotations

import pytest
import torch
from odecheck_reference import fields as exact
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

from odecheck.fields import ANODE, GHBNODE, HBNODE, NODE, ODERNN, AdamNODE, FieldError, GRUJump, LinearJump, NODELayer
from odecheck.fields.from_reference import torch_twin
from odecheck.fields.layer import ADJOINT
from odecheck.fields.ode_rnn import Stretched
from odecheck.solvers import Adaptive, FixedStep
from tests.fields.test_fields import MODELS, D, inner

TIGHT = Adaptive("dopri5", rtol=1e-10)
each_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())


@each_model
def test_one_step_of_training_through_the_adjoint(make):
    torch.manual_seed(1)
    field = make(inner, -1, D)
    layer = NODELayer(field, solver=Adaptive("dopri5", rtol=1e-8))
    model = nn.Sequential(nn.Linear(2, D), layer, nn.LazyLinear(2)).double()
    x = torch.randn(32, 2, dtype=torch.float64)
    label = (x.norm(dim=1) > 1.1).long()
    loss = nn.functional.cross_entropy(model(x), label)
    loss.backward()
    slopes = [p.grad for p in model.parameters()]
    assert all(g is not None and bool(g.isfinite().all()) and bool(g.any()) for g in slopes)
    torch.optim.SGD(model.parameters(), lr=0.02).step()
    assert nn.functional.cross_entropy(model(x), label) < loss


def test_a_layer_is_the_solution_of_its_field():
    torch.manual_seed(0)
    field = HBNODE(inner()).double()
    velocity = nn.Linear(D, D).double()
    x = torch.randn(4, D, dtype=torch.float64)
    layer = NODELayer(field, start={"m": velocity}, span=(0.5, 2.0), part="h", solver=TIGHT)
    times = torch.tensor([0.5, 2.0], dtype=torch.float64)
    y = odeint(field, torch.cat([x, velocity(x)], 1), times, rtol=1e-10, atol=1e-12)[-1]
    torch.testing.assert_close(layer(x), y[:, :D], rtol=1e-9, atol=1e-9)
    fixed = NODELayer(field, start={"m": velocity}, span=(0.5, 2.0), solver=FixedStep("rk4", 0.01), odeint=odeint)
    torch.testing.assert_close(fixed(x), y, rtol=1e-7, atol=1e-7)
    assert layer.odeint is ADJOINT and ADJOINT is odeint_adjoint


def test_initial_networks_are_trained():
    torch.manual_seed(0)
    start = {"m": nn.Linear(D, D), "v": nn.Sequential(nn.Linear(D, D), nn.Softplus())}
    layer = NODELayer(AdamNODE(inner()), start=start, part="h")
    layer(torch.randn(4, D)).square().sum().backward()
    assert all(bool(p.grad.any()) for p in layer.parameters())


def test_a_plain_module_is_a_layer_too():
    x = torch.rand(4, 2)
    pendulum = torch_twin(exact.Pendulum())(torch.ones(4))
    assert NODELayer(pendulum)(x).shape == (4, 2)


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
        (lambda t, x: NODELayer(HBNODE(inner()), part="v"), r"has the parts \('h', 'm'\)"),
        (lambda t, x: NODELayer(HBNODE(inner()), start={"h": nn.Identity()}), "the first starts at x"),
        (lambda t, x: NODELayer(AdamNODE(inner()), start={"v": lambda: None}), "not a Module"),
        (lambda t, x: NODELayer(nn.Identity(), part="h"), r"has the parts \(\)"),
        (lambda t, x: NODELayer(AdamNODE(inner()), start={"v": nn.Linear(3, 3)})(torch.randn(9, 3)), r"v\(0\) has"),
    ],
)
def test_what_does_not_fit_is_refused(act, says):
    torch.manual_seed(0)
    with pytest.raises((FieldError, TypeError), match=says):
        act(*sequences())
