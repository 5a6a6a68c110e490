"""Solves to an event: the truth about them is right, right solves hold, and each wrong derivative or time is named."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint, odeint_event

import odecheck
from odecheck.watching.events import AtEvent, Undecided, begun
from odecheck.watching.field64 import in_double
from odecheck.watching.repeat import again
from odecheck.watching.settle import parts_of
from odecheck.watching.step import watch
from odecheck.watching.truth import dop853, rk4

D = torch.float64
HOW = {"rtol": 1e-5, "atol": 1e-6}


class Falling(nn.Module):
    """Height and speed under gravity, with a drag that depends on time where it is asked for."""

    def __init__(self, drag=0.1, dtype=D):
        super().__init__()
        self.gravity = nn.Parameter(torch.tensor(9.8, dtype=dtype))
        self.drag = drag

    def forward(self, t, y):
        return torch.stack([y[1], -self.gravity - self.drag * y[1] * (1 + torch.sin(t))])


def floor(t, y):
    return y[0]


def watched(interface=odeint, *, event=floor, field=None, dtype=D, loss=None, start=(3.0, 0.5), outer=True, **how):
    """One solve to an event under watch, judged, with the cotangents of time and state."""
    torch.manual_seed(0)
    field = Falling(dtype=dtype) if field is None else field
    y0, t0 = (torch.tensor(x, dtype=dtype, requires_grad=True) for x in (start, 0.1))
    how = {**HOW, "event_fn": event, **how}
    with watch() as step:
        if outer:
            when, y = odeint_event(field, y0, t0, odeint_interface=interface, **how)
        else:
            when, y = interface(field, y0, torch.stack([t0, t0 + 1]), **how)
        (when + y[-1].square().sum() + y[0].sum() if loss is None else loss(when, y)).backward()
    _ = step.rows
    return step


def kinds(step):
    return {f.kind for row in step.rows for f in row.findings}


def test_the_truth_of_a_falling_ball_is_its_closed_form():
    """T = t0 + (v0 + r)/g, r = sqrt(v0² + 2 g h), the speed there −r: dL of L = 2 T + 3 v(T), each within its bar."""
    row = watched(field=Falling(0.0), loss=lambda when, y: 2 * when + 3 * y[-1, 1]).rows[0]
    g, h, v = 9.8, 3.0, 0.5
    r = math.sqrt(v * v + 2 * g * h)
    exact = {
        "event time": (v + r) / g,
        "dL/dy0": [2 / r - 3 * g / r, 2 * (1 + v / r) / g - 3 * v / r],
        "gravity": -2 * (v + r) / g**2 + (2 / g - 3) * h / r,
        "dL/dt": [2.0],
        "solution": [[h, v], [0.0, -r]],
    }
    truth = row.truth
    assert truth is not None and set(exact) == set(truth.parts())
    for name, x in exact.items():
        found = torch.as_tensor(truth.parts()[name]).reshape(-1)
        error = float((found - torch.tensor(x, dtype=D).reshape(-1)).abs().max())
        assert error <= max(truth.bars[name], 1e-14), (name, error, truth.bars[name])
        assert truth.bars[name] < 1e-6


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("interface", [odeint, odeint_adjoint, odecheck.odeint])
def test_right_solves_to_an_event_hold(interface, reverse):
    row = watched(interface, reverse_time=reverse).rows[0]
    assert row.verdict == "holds", str(row)
    assert {"event time", "solution", "dL/dy0", "dL/dtheta", "dL/dt"} == set(row.quantities)
    assert not row.said, row.said


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
def test_several_outputs_in_float32_and_a_tuple_hold(interface):
    """The second of two outputs is met first, and no gradient comes back to the first row or to the time."""

    class Tuple(Falling):
        def forward(self, t, state):
            both = super().forward(t, torch.stack(state))
            return both[0], both[1]

    field, y0 = Tuple(dtype=torch.float32), (torch.tensor(3.0, requires_grad=True), torch.tensor(0.5))

    def event(t, state):
        return torch.stack([state[0] + 5.0, 1.0 - state[0], state[0] - 10.0])

    with watch() as step:
        _, y = odeint_event(field, y0, torch.tensor(0.0), event_fn=event, odeint_interface=interface, **HOW)
        y[1][-1].square().backward()
    assert step.rows[0].verdict == "holds", str(step)
    assert not step.rows[0].findings


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
def test_a_bouncing_ball_is_several_solves_each_judged(interface):
    """Between two falls the speed is turned round and the ball lifted a little; its radius is a state of rate zero."""

    class Bouncing(nn.Module):
        def __init__(self):
            super().__init__()
            self.gravity, self.absorbed = nn.Parameter(torch.tensor([9.8])), nn.Parameter(torch.tensor([0.2]))
            self.radius = nn.Parameter(torch.tensor([-1.0]))

        def forward(self, t, state):
            return state[1], -self.gravity, torch.zeros_like(state[2])

    field = Bouncing()
    with watch() as step:
        t, state = torch.zeros(1), (torch.tensor([2.0]), torch.tensor([0.0]), field.radius)
        for _ in range(3):
            t, (x, v, radius) = odeint_event(
                field, state, t, event_fn=lambda t, s: s[0] - s[2].exp(), odeint_interface=interface, atol=1e-6
            )
            state = (x[-1] + 1e-7, -v[-1] * (1 - field.absorbed), radius[-1])
        (t.sum() + state[1].square().sum()).backward()
    assert len(step.rows) == 3 and not step.findings
    assert [row.verdict for row in step.rows] == ["holds"] * 3, str(step)


def test_steps_without_a_tolerance_have_errors_and_no_promise():
    row = watched(method="rk4", options={"step_size": 0.01}).rows[0]
    assert row.verdict == "not applicable", str(row)
    assert 1e-12 < row.quantities["event time"].error < 1e-3


def test_both_families_find_the_same_event_and_gradients():
    """Classical steps find an event of their own, and their gradients those of DOP853, to their order."""
    call = watched(field=Falling()).calls[0]
    with in_double(call) as f:
        f.event = begun(f, again(call))
        one, *others = parts_of(dop853(f, rtol=1e-12)), *(parts_of(rk4(f, steps=n)) for n in (32, 64))
    for name, x in one.items():
        coarse, fine = (float(abs(x - other[name]).max()) / float(abs(x).max()) for other in others)
        assert fine < 2e-7 and (coarse > 10 * fine or coarse < 1e-11), (name, coarse, fine)


# -- the mistakes


def rerouted(monkeypatch, change):
    """torchdiffeq's link to the event's time, its gradient in the state changed: change(gradient, given)."""
    module = importlib.import_module("torchdiffeq._impl.odeint")
    link = module.ImplicitFnGradientRerouting

    class Changed(link):
        @staticmethod
        def backward(ctx, grad_t, grad_state):
            right = link.backward(ctx, grad_t, grad_state)
            return (*right[:3], change(right[3], grad_state))

    monkeypatch.setattr(module, "ImplicitFnGradientRerouting", Changed)


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda right, given: given, "event time held fixed"),
        (lambda right, given: 2 * given - right, "event gradient turned"),
    ],
)
def test_a_wrong_event_gradient_is_named(monkeypatch, interface, change, kind):
    rerouted(monkeypatch, change)
    step = watched(interface)
    assert kinds(step) == {kind}
    assert step.rows[0].quantities["dL/dy0"].verdict == "refuted"
    assert step.rows[0].quantities["event time"].verdict == "holds"


def test_a_wrong_event_gradient_is_named_at_a_loose_tolerance_too(monkeypatch):
    rerouted(monkeypatch, lambda right, given: given)
    assert kinds(watched(rtol=1e-2, atol=1e-2, method="adaptive_heun")) == {"event time held fixed"}


def test_a_part_of_the_event_gradient_is_out_of_the_tolerance(monkeypatch):
    rerouted(monkeypatch, lambda right, given: given + 0.99 * (right - given))
    step = watched(odeint_adjoint)
    assert step.rows[0].verdict == "refuted"


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint, odecheck.odeint])
def test_a_solve_whose_event_is_not_linked_up_is_named(interface):
    """`odeint(event_fn=)` itself differentiates the state at a fixed time: what to type instead is said."""
    step = watched(interface, outer=False)
    assert kinds(step) == {"event time held fixed"}
    assert "odeint_event" in step.findings[0]


def test_the_time_alone_of_odechecks_own_event_holds():
    row = watched(odecheck.odeint, outer=False, loss=lambda when, y: when**2).rows[0]
    assert row.verdict == "holds" and not row.findings, str(row)


def test_an_event_at_the_end_of_a_step_is_named(monkeypatch):
    module = importlib.import_module("torchdiffeq._impl.rk_common")
    monkeypatch.setattr(module, "find_event", lambda f, sign, t0, t1, event, tol: (t1, f(t1)))
    step = watched()
    assert kinds(step) == {"event at the end of a step"}
    assert step.rows[0].quantities["event time"].verdict == "refuted"


def with_a_parameter(own: bool):
    """A floor whose height is a parameter, of the field or of the event function alone."""
    field = Falling()
    height = nn.Parameter(torch.tensor(0.7, dtype=D))
    if own:
        field.height = height
    return field, lambda t, y: y[0] - height


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
def test_a_parameter_of_the_event_function_that_gets_no_gradient_is_named(interface, own):
    field, event = with_a_parameter(own)
    assert kinds(watched(interface, field=field, event=event)) == {"event parameter, gradient lost"}


def test_a_parameter_that_field_and_event_share_is_named():
    field = Falling()
    step = watched(odeint_adjoint, field=field, event=lambda t, y: y[0] - 0.1 * field.gravity)
    assert kinds(step) == {"event parameter, gradient lost"}


def test_a_parameter_of_the_event_function_that_gets_its_gradient_holds():
    field, event = with_a_parameter(False)
    row = watched(odecheck.odeint, outer=False, field=field, event=event, loss=lambda when, y: when**2).rows[0]
    assert row.verdict == "holds" and not row.said, (row, row.said)


def test_a_detached_event_function_is_named():
    assert kinds(watched(event=lambda t, y: y[0].detach() + 0 * y[1])) >= {"cut off"}


def test_a_grazing_event_is_undecided_in_words():
    """A ball thrown to just the height that ends the solve, or else the floor does: the one is not told from none."""
    top = 3.0 + 0.5**2 / (2 * 9.8) - 1e-7
    step = watched(field=Falling(0.0), event=lambda t, y: torch.stack([top - y[0], y[0]]), loss=lambda when, y: when)
    row = step.rows[0]
    assert row.verdict == "inconclusive" and "graz" in row.reason, row


def test_two_events_at_once_are_undecided_in_words():
    """Of two equal balls both reach the floor at once: the smallest output has no derivative there."""

    class Two(Falling):
        def forward(self, t, y):
            return torch.cat([super().forward(t, y[:2]), super().forward(t, y[2:])])

    row = watched(field=Two(), event=lambda t, y: y[::2] * torch.tensor([1.0, 1.0 + 1e-9]), start=(3.0, 0.5) * 2).rows[
        0
    ]
    assert row.verdict == "inconclusive" and "two outputs" in row.reason and not row.findings, row


def test_an_event_without_gradients_has_time_and_state_judged():
    with watch() as step, torch.no_grad():
        odeint_event(Falling(), torch.tensor([3.0, 0.5], dtype=D), torch.tensor(0.0, dtype=D), event_fn=floor, **HOW)
    assert set(step.rows[0].quantities) == {"solution", "event time"} and step.rows[0].verdict == "holds"


def test_an_event_that_was_stepped_over_is_named():
    """A narrow window of the event function lies between two steps; another event comes later."""

    def event(t, y):
        return torch.stack([y[0], (t - 0.3).abs() - 0.02])

    step = watched(field=Falling(0.0), event=event, loss=lambda when, y: when)
    assert kinds(step) == {"event stepped over"}


def test_an_event_where_nothing_is_finite_is_said_to_be_that():
    """Explicit steps of a stiff field may end in NaN: that is no event function without a slope."""
    none = np.full(1, np.nan)
    with pytest.raises(Undecided, match=r"not finite at the event.*implicit steps"):
        AtEvent(np.nan, none, none, np.nan, {}).newton()
    with pytest.raises(Undecided, match="no slope"):
        AtEvent(1.0, none, none, 0.0, {}).newton()
