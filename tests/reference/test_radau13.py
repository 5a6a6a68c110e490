"""Seven-stage Radau steps against closed forms: the state, its derivatives, and what a stiff problem costs."""

from __future__ import annotations

import numpy as np
import pytest
from odecheck_reference import Problem, follow, gradient, loss, scout, sensitivity, solution, stepping
from odecheck_reference.adjoint import adjoint_states
from odecheck_reference.fields import Jet
from odecheck_reference.flow import RUNS, SHARP, FlowError, solve, spread, trajectories
from odecheck_reference.losses import Linear
from odecheck_reference.radau13 import Radau13
from odecheck_reference.tableau import Tableau
from odecheck_reference.variational import Variational


class Relaxation:
    """y' = −k (y − cos t), whose solution and derivatives are known."""

    state, params, parts = 1, 1, {"y": slice(0, 1)}

    def __init__(self, bend: float = 1.0) -> None:
        self.bend, self.asked = bend, 0

    def jet(self, t, y, theta, order):
        self.asked += 1
        k, far = theta[0], y - np.cos(t)
        value = -k * far
        if order == 0:
            return Jet(value)
        first = np.zeros((*y.shape, 3))
        first[..., 0, 0], first[..., 1], first[..., 2] = (-k * np.sin(t) + 0 * y)[..., 0], -k, -far
        if order == 1:
            return Jet(value, first)
        second = np.zeros((*y.shape, 3, 3))
        second[..., 0, 0] = -k * np.cos(t) + 0 * y
        second[..., 0, 2] = second[..., 2, 0] = -np.sin(t) + 0 * y
        second[..., 1, 2] = second[..., 2, 1] = -self.bend
        return Jet(value, first, second)


class Bumped(Relaxation):
    """The same with a bump in time, of width .01 at t = .37 and of area √π."""

    def jet(self, t, y, theta, order):
        found, u = super().jet(t, y, theta, order), (t - 0.37) / 0.01
        bump = 100 * np.exp(-(u**2))
        if found.first is not None:
            found.first[..., 0, 0] += (-200 * u * bump + 0 * y)[..., 0]
        return Jet(found.value + bump, found.first, found.second)


class Decaying:
    """y' = −k (y − cos t) beside z' = −c z, which becomes small."""

    state, params, parts = 2, 2, {"y": slice(0, 2)}

    def jet(self, t, y, theta, order):
        (k, c), far = theta, (y - np.cos(t))[..., 0]
        value = np.stack([-k * far, -c * y[..., 1]], axis=-1)
        first = np.zeros((*y.shape, 5))
        first[..., 0, 0], first[..., 0, 1], first[..., 0, 3] = (-k * np.sin(t) + 0 * y)[..., 0], -k, -far
        first[..., 1, 2], first[..., 1, 4] = -c, -y[..., 1]
        return Jet(value, first if order else None)


def particular(k, t):
    return (k**2 * np.cos(t) + k * np.sin(t)) / (k**2 + 1)


def exact(k, y0, t):
    """y, and dy/dk by the formula of a quotient."""
    slope = (2 * k * np.cos(t) + np.sin(t)) / (k**2 + 1) - 2 * k * (k**2 * np.cos(t) + k * np.sin(t)) / (k**2 + 1) ** 2
    at_zero = 2 * k / (k**2 + 1) - 2 * k**3 / (k**2 + 1) ** 2
    decay = np.exp(-k * t)
    y = particular(k, t) + (y0 - particular(k, 0.0)) * decay
    return y, slope - at_zero * decay - t * (y0 - particular(k, 0.0)) * decay


def posed(k, field=None, ts=(0.0, 0.5, 1.0)):
    weight = np.concatenate([np.zeros((1, 1, 1)), np.ones((len(ts) - 1, 1, 1))])
    return Problem("relaxation", field or Relaxation(), np.array([[0.5]]), np.array([k]), np.array(ts), Linear(weight))


@pytest.mark.parametrize("k", [1e3, 1e5])
def test_a_stiff_solution_and_its_derivative_are_within_their_bars(k):
    problem = posed(k)
    found = solution(problem)
    y, dk = exact(k, 0.5, problem.ts)
    assert (np.abs(found.value[:, 0, 0] - y) <= found.radius[:, 0, 0]).all() and found.radius.max() < 1e-9
    runs = trajectories(problem, 1)
    assert runs[0].stiff
    seen = spread([run.first for run in runs])
    bar = seen.radius + np.max(runs[0].beyond[1])
    assert (np.abs(seen.value[:, 0, 0, 1] - dk) <= bar[:, 0, 0, 1]).all() and bar.max() < 1e-9


def test_what_has_decayed_has_an_honest_bar():
    """It is followed to digits of a share of its largest size, not to those of what is left."""
    weight, c = np.zeros((2, 1, 2)), 18.4
    weight[1, 0, 1] = 1.0
    start, theta = np.array([[0.5, 1.0]]), np.array([1e4, c])
    problem = Problem("decaying", Decaying(), start, theta, np.array([0.0, 1.0]), Linear(weight))
    found, value = gradient(problem), loss(problem)
    assert trajectories(problem, 1)[0].stiff
    assert abs(value.value - np.exp(-c)) <= value.radius < 1e-11
    assert np.abs(found.theta.value - [0.0, -np.exp(-c)]).max() <= found.theta.radius.min()
    assert np.abs(found.y0.value - [[0.0, np.exp(-c)]]).max() <= found.y0.radius.min() and found.y0.radius.max() < 1e-11


def test_second_derivatives_are_those_of_differences_of_the_first():
    k, h, t = 1e3, 1e-2, np.array([0.5])
    second = trajectories(posed(k, ts=(0.0, 0.5)), 2)[0].second[1:, 0, 0, 1, 1]
    differences = (exact(k + h, 0.5, t)[1] - exact(k - h, 0.5, t)[1]) / (2 * h)
    assert second == pytest.approx(differences, rel=1e-5)
    wrong = solve(posed(k, Relaxation(bend=0.5), (0.0, 0.5)), 2, *SHARP).second[1:, 0, 0, 1, 1]
    assert np.abs(wrong / differences - 1).max() > 0.1


def test_adjoint_states_of_a_stiff_field_are_not_followed_backwards():
    found = adjoint_states(posed(1e3, ts=(0.0, 0.002, 0.004)))
    decay = np.exp(-1e3 * np.array([0.002, 0.004]))
    assert np.abs(found.value[:, 0, 0] - [decay.sum(), 1 + decay[0], 1.0]).max() <= found.radius.max() < 1e-9


def test_a_field_that_is_not_stiff_is_followed_by_explicit_steps():
    assert not trajectories(posed(5.0), 1)[0].stiff


def test_a_stiff_field_costs_no_evaluation_for_each_time_constant():
    field = Relaxation()
    solution(posed(1e5, field))
    assert field.asked < 40_000  # an explicit method takes more than 100,000 in each of its runs


def test_a_bump_in_a_field_of_some_hundred_time_constants_costs_no_explicit_steps():
    field, k = Bumped(), 300.0
    problem = posed(k, field, ts=(0.0, 0.38))
    found = gradient(problem)
    x, w = np.polynomial.legendre.leggauss(80)
    s = 0.345 + 0.035 * x  # up to 0.38 from where the bump begins
    added = 0.035 * w * 100 * np.exp(-(((s - 0.37) / 0.01) ** 2)) * np.exp(-k * (0.38 - s))
    y, dk = exact(k, 0.5, 0.38)
    states = solution(problem)
    assert abs(states.value[-1, 0, 0] - y - added.sum()) <= states.radius[-1, 0, 0] < 1e-9
    assert abs(found.theta.value[0] - dk + added @ (0.38 - s)) <= found.theta.radius[0] < 1e-9
    assert trajectories(problem, 1)[0].stiff and field.asked < 40_000  # explicit ones ask more than 200,000


@pytest.mark.parametrize("stages", [3, 5, 7])
def test_coefficients_integrate_polynomials(stages):
    table = Tableau(stages)
    for power in range(stages):
        assert table.a @ table.c**power == pytest.approx(table.c ** (power + 1) / (power + 1), abs=1e-14)
    assert [table.a[-1] @ table.c**p for p in range(2 * stages - 1)] == pytest.approx(
        [1 / (p + 1) for p in range(2 * stages - 1)], abs=1e-14
    )


def test_layers_say_where_derivatives_are():
    system = Variational(Relaxation(), np.array([1.0]), 1, 2)
    assert [columns for _, columns in system.layers] == [2, 3] and len(RUNS) == 5


class Blind(Relaxation):
    """Its values are right, and its slopes are no numbers."""

    def jet(self, t, y, theta, order):
        found = super().jet(t, y, theta, order)
        return found if found.first is None else Jet(found.value, np.nan * found.first, found.second)


@pytest.mark.usefixtures("short_of_breath")
def test_what_makes_linear_algebra_fail_is_a_refusal():
    with pytest.raises(FlowError):
        trajectories(posed(1e5, Blind(), ts=(0.0, 1.0)), 1)


def apart(problem):
    """(the largest error in bars, the largest bar) of y, dL/dk and dL/dts with L = y(1/2) + y(1): all are known."""
    k, t, found, states = problem.theta[0], problem.ts, gradient(problem), solution(problem)
    y, dk = exact(k, 0.5, t)
    rate = -k * (y - np.cos(t))
    ts = np.array([-np.exp(-k * t[1:]).sum() * rate[0], *rate[1:]])
    pairs = [(found.theta, [dk[1:].sum()]), (found.ts, ts), (states, y[:, None, None])]
    bars = [np.max(one.radius) for one, _ in pairs]
    return max(np.max(np.abs(one.value - truth) / one.radius.clip(1e-300)) for one, truth in pairs), max(bars)


@pytest.fixture
def short_of_breath(monkeypatch):
    """What cannot be followed is refused soon."""
    for module in (scout, follow):
        monkeypatch.setattr(module, "TOTAL", 12_000)


@pytest.fixture
def blind(monkeypatch):
    """Defects are not looked at: only the other family is left to see what is wrong."""
    nothing = np.zeros(1)
    monkeypatch.setattr(follow, "unexplained", lambda run, samples, *_, **__: (np.zeros(len(samples.x), bool), nothing))


def spoiled(part, place, by):
    """Coefficients of which one is off, with what is made of them."""
    table = Tableau(7)
    getattr(table, part)[place] += by
    table.inverse = np.linalg.inv(table.a)
    table.eigenvalues, table.to = np.linalg.eig(table.inverse)
    table.back = np.linalg.inv(table.to)
    return table


def test_a_right_gradient_is_inside_a_narrow_bar():
    error, bar = apart(posed(1e3))
    assert error <= 1 and bar < 1e-9


WRONG = {
    "a node": ("c", 2, 1e-4),
    "a node by little": ("c", 2, 1e-9),
    "a weight": ("a", (-1, 3), 1e-4),
    "a weight by little": ("a", (-1, 3), 1e-9),
    "a coefficient": ("a", (2, 4), 1e-6),
    "a coefficient by little": ("a", (2, 4), 1e-9),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.usefixtures("short_of_breath")
def test_steps_with_a_wrong_coefficient_are_refused_or_their_bar_covers_it(name, monkeypatch):
    monkeypatch.setattr(Radau13, "tableau", spoiled(*WRONG[name]))
    try:
        error, _ = apart(posed(1e3))
    except FlowError:
        return
    assert error <= 1


class Shrunk(Radau13):
    """Its state is right, and what moves the slopes in theta is too small by little, in its own steps alone."""

    def __init__(self, *args, system, **options):
        super().__init__(*args, system=Weak(system), **options)


class Weak:
    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def rates(self, jet, w):
        found, inner = self.inner.rates(jet, w), self.inner
        if inner.order:
            part = found[..., inner.places[1]].reshape(*w.shape[:-1], *inner.shapes[1])
            part[..., inner.d :] -= 1e-5 * jet.first[..., 1 + inner.d :]
        return found


@pytest.mark.usefixtures("blind")
def test_the_other_family_alone_sees_wrong_steps(monkeypatch):
    monkeypatch.setitem(stepping.METHODS, "Radau13", Shrunk)
    problem = posed(1e3)
    error, _ = apart(problem)
    assert error <= 1 and gradient(problem).theta.budget["families disagree"] > 0


@pytest.mark.usefixtures("short_of_breath")
def test_the_defect_alone_sees_wrong_steps(monkeypatch):
    monkeypatch.setitem(stepping.METHODS, "Radau13", Shrunk)
    monkeypatch.setattr(scout, "STIFF_SECOND", {how: ("Radau13", how[1]) for how in scout.STIFF_SECOND})
    try:
        error, _ = apart(posed(1e3))
    except FlowError:
        return
    assert error <= 1


@pytest.mark.parametrize("what", ["the sign of a slope", "what theta forces", "the start of dL/dts"])
def test_a_wrong_equation_is_common_to_all_families_and_outside_the_closed_form(what, monkeypatch):
    right, observed = Variational.rates, sensitivity._observed

    def rates(self, jet, w):
        found = right(self, jet, w)
        if self.order:
            part = found[..., self.places[1]].reshape(*w.shape[:-1], *self.shapes[1])
            if what == "what theta forces":
                part[..., self.d :] = 0
            else:
                part[..., self.d :] -= 2 * jet.first[..., 1 + self.d :]
        return found

    def without_start(problem, run):
        first, second = observed(problem, run)
        first[..., run.first.shape[-1]] = 0
        return first, second

    if "dL/dts" in what:
        monkeypatch.setattr(sensitivity, "_observed", without_start)
    else:
        monkeypatch.setattr(Variational, "rates", rates)
    assert apart(posed(1e3, ts=(0.0, 0.002, 0.004)))[0] > 1
