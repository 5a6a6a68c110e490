"""First derivatives by the adjoint: those of forward sensitivities, at any size, with nothing narrow stepped over."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from odecheck_reference import FlowError, Problem, adjoint_states, flat, gradient, solution, volume
from odecheck_reference.fields import Jet, Mlp, Pulled, pull
from odecheck_reference.fields.mlp import EXAMPLES
from odecheck_reference.first_order import first_order
from odecheck_reference.losses import Linear, QuadraticCost, SquaredError
from odecheck_reference.sensitivity import with_cost_as_state


def problem(net: Mlp, ts=(0.0, 0.5, 1.0), batch: int = 2, **more) -> Problem:
    rng, ts = np.random.default_rng(0), np.array(ts)
    shape = (len(ts), batch, net.state)
    sizes = [(w.stop - w.start, b.stop - b.start) for w, b in net.layers()]
    layers = [np.r_[rng.standard_normal(many) * out / many, np.full(out, 0.1)] for many, out in sizes]
    theta = np.concatenate(layers)
    return Problem(
        "network",
        net,
        rng.standard_normal(shape[1:]),
        theta,
        ts,
        SquaredError(np.ones(shape), rng.standard_normal(shape)),
        **more,
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_network_pulls_back_what_its_jet_says(name):
    net, rng = EXAMPLES[name], np.random.default_rng(1)
    theta, y, a = rng.standard_normal(net.params), rng.standard_normal((3, 2)), rng.standard_normal((3, 2))
    got, jet = net.pull(0.3, y, theta, a), net.jet(0.3, y, theta, 1)
    rows = np.einsum("bi,bin->bn", a, jet.first)
    for one, other in zip(
        (got.value, got.t, got.y, got.theta), (jet.value, rows[:, 0], rows[:, 1:3], rows[:, 3:].sum(0)), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("ts", [(0.0, 0.5, 1.0), (1.0, 0.2), (-0.3, 0.1, 0.2, 2.0)])
@pytest.mark.parametrize("running", [None, QuadraticCost()])
def test_both_ways_agree_within_their_bars(ts, running, monkeypatch):
    p = problem(Mlp(2, 2, (3,), time=True), ts, running=running)
    forward, other = gradient(p), adjoint_states(p)
    monkeypatch.setattr(flat, "FORWARD", 0)
    again = p.with_(name="again")
    backward = gradient(again)
    for name in ("y0", "theta", "ts"):
        one, two = getattr(forward, name), getattr(backward, name)
        assert one.value.shape == two.value.shape
        assert (np.abs(one.value - two.value) <= one.radius + two.radius).all(), name
        assert two.radius.max() < 1e-9 * np.abs(two.value).max()
    states = adjoint_states(again)
    assert (np.abs(states.value - other.value) <= states.radius + other.radius).all()
    np.testing.assert_allclose(volume(again).value, volume(p.with_(name="third")).value, rtol=1e-10)


def test_time_and_memory_are_in_proportion_to_the_parameters():
    sizes = []
    for width in (64, 128):
        p = problem(Mlp(8, 8, (width, width)), batch=8)
        tracemalloc.start()
        assert first_order(p).theta.radius.max() < 1e-9 * np.abs(first_order(p).theta.value).max()
        sizes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert sizes[1] < 4 * sizes[0]  # 3.6 times as many parameters; a column for each would be 600 MB


@dataclass(frozen=True)
class Bump:
    """y' = −y + theta exp(−((t − at)/width)²)/width: at theta = 0 no solution tells that the parameter counts."""

    at: float = 0.371
    width: float = 2e-2
    state: int = 1
    params: int = 1
    parts: ClassVar = {"y": slice(0, 1)}

    def jet(self, t, y, theta, order) -> Jet:
        bump = np.exp(-(((np.asarray(t) - self.at) / self.width) ** 2)) / self.width + 0 * y
        first = None
        if order:
            first = np.zeros((len(y), 1, 3))
            first[:, :, 1], first[:, :, 2] = -1.0, bump
        return Jet(-y + theta * bump, first)


def test_a_feature_of_the_derivative_alone_is_not_stepped_over():
    loss = Linear(np.array([[[0.0]], [[1.0]]]))
    p = Problem("bump", Bump(), np.array([[1.0]]), np.zeros(1), np.array([0.0, 1.0]), loss)
    found = first_order(p)
    at, width = p.field.at, p.field.width
    exact = np.exp(-(1 - at)) * np.sqrt(np.pi) * np.exp(width**2 / 4)
    assert abs(found.theta.value[0] - exact) <= found.theta.radius[0] < 1e-8


@dataclass(frozen=True)
class Noisy(Bump):
    """Its derivative is another one at each call."""

    def pull(self, t, y, theta, a) -> Pulled:
        jet = self.jet(t, y, theta, 1)
        shift = np.random.default_rng(int(abs(t) * 1e9)).standard_normal()
        return Pulled(jet.value, a[:, 0] * 0, -a, a.sum(0) * shift)


def test_a_derivative_that_is_no_function_is_refused():
    loss = Linear(np.array([[[0.0]], [[1.0]]]))
    p = Problem("noise", Noisy(), np.array([[1.0]]), np.zeros(1), np.array([0.0, 1.0]), loss)
    with pytest.raises(FlowError, match="not what their integrals say"):
        first_order(p)


@dataclass(frozen=True)
class Switch(Bump):
    """y' = 1 + theta [y > 1/2]: the solution goes on, its derivatives jump."""

    def jet(self, t, y, theta, order) -> Jet:
        above = (y > 0.5).astype(float)
        first = None
        if order:
            first = np.zeros((len(y), 1, 3))
            first[:, :, 2] = above
        return Jet(1 + theta * above, first)


def test_a_field_that_jumps_with_its_state_has_no_derivative_here():
    loss = Linear(np.array([[[0.0]], [[1.0]]]))
    p = Problem("switch", Switch(), np.array([[0.0]]), np.ones(1), np.array([0.0, 1.0]), loss)
    with pytest.raises(FlowError, match="its state crosses a place"):
        first_order(p)


def test_states_beyond_the_multistep_family_s_memory_are_followed_without_it():
    net = Mlp(2, 2, (2,))
    one = problem(net, batch=1)
    many = one.with_(y0=np.tile(one.y0, (3000, 1)), loss=Linear(np.zeros((3, 3000, 2))), name="many")
    np.testing.assert_allclose(solution(many).value[:, :1], solution(one).value, rtol=0, atol=1e-10)
    assert solution(many).radius.max() < 1e-8


def test_a_running_cost_pulls_back_what_its_jet_says():
    p = with_cost_as_state(problem(Mlp(2, 2, (3,), time=True), running=QuadraticCost()))
    rng = np.random.default_rng(2)
    y, a = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    got, rows = pull(p.field, 0.4, y, p.theta, a), np.einsum("bi,bin->bn", a, p.field.jet(0.4, y, p.theta, 1).first)
    np.testing.assert_allclose(got.y, rows[:, 1:4], atol=1e-13)
    np.testing.assert_allclose(got.theta, rows[:, 4:].sum(0), atol=1e-13)
    np.testing.assert_allclose(got.t, rows[:, 0], atol=1e-13)
