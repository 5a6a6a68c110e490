"""Engines of other libraries: right where the library is, unsupported where it is not asked in its own terms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odecheck_reference import catalogue, gradient, solution

from odecheck import SHIPPED, Adaptive, FixedStep, Subject, Unsupported
from odecheck.engines.scipy import ScipyEngine, SolveIvp
from odecheck.engines.torchdiffeq import RELEASES, Interface, Seminorm, methods_of, of_release, solvers_of
from odecheck.instruments.metering import metered
from odecheck.problem_sets.conformance import linear, network, pendulum, switched
from odecheck.solvers import GivenSteps
from odecheck.subject import tensor


def close(found, bounded, within):
    assert np.max(np.abs(found - bounded.value)) <= within * max(1.0, float(np.max(np.abs(bounded.value))))


def check(subject, problem, *, states, slopes, times=None):
    """Solution and gradient of a problem, to these relative errors. times: of dL/dts, None where it has none."""
    with metered() as cost:
        close(subject.solution(problem), solution(problem), states)
    assert cost.nfe > 0
    got, true = subject.gradient(problem), gradient(problem)
    close(got.y0, true.y0, slopes)
    close(got.theta, true.theta, slopes)
    if times:
        close(got.ts, true.ts, times)


@pytest.mark.parametrize("problem", [linear(), network(), pendulum()], ids=lambda p: p.name)
@pytest.mark.parametrize("method", ["dopri5", "tsit5"])
def test_torchode_backpropagates(problem, method):
    torchode = pytest.importorskip("odecheck.engines.torchode")
    check(
        Subject(SHIPPED, torchode.TorchodeAdaptive(method, rtol=1e-8), torchode.AUTODIFF),
        problem,
        states=1e-6,
        slopes=1e-5,
        times=1e-5,
    )


@pytest.mark.parametrize("name", ["BACKSOLVE", "JOINT"])
@pytest.mark.parametrize("kind", ["adaptive", "fixed"])
def test_torchode_solves_back(name, kind):
    torchode = pytest.importorskip("odecheck.engines.torchode")
    solver = (
        torchode.TorchodeAdaptive("dopri5", rtol=1e-8)
        if kind == "adaptive"
        else torchode.TorchodeFixed("heun2", step=0.01)
    )
    close_to = (1e-6, 1e-5) if kind == "adaptive" else (1e-4, 1e-3)
    check(Subject(SHIPPED, solver, getattr(torchode, name)), linear(), states=close_to[0], slopes=close_to[1])


def test_torchode_takes_no_grid_and_no_tuple():
    torchode = pytest.importorskip("odecheck.engines.torchode")
    with pytest.raises(Unsupported, match="one by one"):
        Subject(SHIPPED, GivenSteps("euler"), torchode.AUTODIFF).solution(linear())
    with pytest.raises(Unsupported, match="no option step_t"):
        Subject(SHIPPED, torchode.TorchodeAdaptive("dopri5", land=True), torchode.AUTODIFF).solution(linear())


def torchdyn_engines():
    pytest.importorskip("torchdyn")
    from odecheck.engines import torchdyn

    return torchdyn


@pytest.mark.parametrize("land", [True, False])
def test_torchdyn_backpropagates(land):
    torchdyn = torchdyn_engines()
    check(
        Subject(SHIPPED, torchdyn.TorchdynAdaptive("dopri5", rtol=1e-8, land=land), torchdyn.AUTOGRAD),
        network(),
        states=1e-6,
        slopes=1e-5,
        times=1e-4,
    )


def test_torchdyn_adjoint_has_no_derivative_in_many_times():
    torchdyn = torchdyn_engines()
    subject = Subject(SHIPPED, torchdyn.TorchdynAdaptive("dopri5", rtol=1e-8, land=True), torchdyn.ADJOINT)
    check(subject, network(), states=1e-6, slopes=1e-5)
    with pytest.raises(Unsupported, match="more than two times"):
        _ = subject.gradient(network()).ts


def test_torchdyn_steps_end_on_the_outputs_of_a_fixed_grid():
    torchdyn = torchdyn_engines()
    ts = torch.tensor([0.0, 0.25, 0.3], dtype=torch.float64)
    assert torchdyn._grid(ts, 0.1).tolist() == pytest.approx([0.0, 0.1, 0.2, 0.25, 0.3])
    assert torchdyn._grid(-ts, 0.1).tolist() == pytest.approx([0.0, -0.1, -0.2, -0.25, -0.3])


def test_torchdyn_says_which_times_it_lost():
    torchdyn = torchdyn_engines()
    with pytest.raises(RuntimeError, match="no state for some of the times"):
        torchdyn._where(torch.tensor([0.0, 0.5]), torch.tensor([0.0, 0.4, 0.5]))


@pytest.mark.parametrize("method", list(SolveIvp.METHODS))
def test_scipy_solves_forwards_and_backwards(method):
    subject = Subject(SHIPPED, SolveIvp(method, rtol=1e-8), ScipyEngine())
    for problem in (linear(), catalogue.quick()[3]):
        close(subject.solution(problem), solution(problem), 1e-5)
    with pytest.raises(Unsupported, match="no derivatives"):
        subject.gradient(linear())


def test_the_seminorm_changes_the_steps_and_not_the_derivative():
    problem = network()
    subject = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Seminorm())
    check(subject, problem, states=1e-6, slopes=1e-5, times=1e-5)
    with pytest.raises(Unsupported, match="no norm to choose"):
        Subject(SHIPPED, FixedStep("rk4"), Seminorm()).gradient(problem)


def test_methods_of_the_installed_release_are_its_own_table():
    release = RELEASES[-1]
    assert set(methods_of(release)) == set(solvers_of(Interface("odeint").library))
    assert of_release(Seminorm(), release, "").name == f"torchdiffeq {release} seminorm adjoint"
    assert {"tsit5", "adams"} < set(methods_of("0.0.1"))
    assert "scipy_solver" not in methods_of("0.1.1") and "scipy_solver" in methods_of("0.2.0")
    assert methods_of("9.9.9") == methods_of(release)


@pytest.mark.parametrize("problem", [*catalogue.full(), switched()], ids=lambda p: p.name)
def test_the_field_in_jax_is_the_reference_s(problem):
    """Against the numpy twin, not against the torch module that it was traced from."""
    pytest.importorskip("jax")
    from odecheck.engines.diffrax_program import jax_double
    from odecheck.engines.jax_field import jax_field

    jnp = jax_double().numpy
    module = Subject(SHIPPED, Adaptive(), Seminorm()).module(problem)
    field = jax_field(module, tensor(problem.y0))
    drawn = np.random.default_rng(1)
    for t in (problem.ts[0], 0.3, problem.ts[-1]):
        y = problem.y0 + 0.1 * drawn.standard_normal(problem.y0.shape)
        params = [jnp.asarray(p.detach().numpy()) for p in module.parameters()]
        true = problem.field.jet(float(t), y, problem.theta, 0).value
        found = np.asarray(field(jnp.asarray(float(t)), jnp.asarray(y), params))
        assert np.max(np.abs(found - true)) <= 1e-12 * max(1.0, float(np.max(np.abs(true))))


class Sorted(torch.nn.Module):
    def forward(self, t, y):
        return torch.sort(y, dim=-1).values


class Looks(torch.nn.Module):
    def forward(self, t, y):
        return y if float(t) < 0.1 else -y


@pytest.mark.parametrize(("module", "said"), [(Sorted(), "no translation into jax"), (Looks(), "cannot trace")])
def test_a_field_that_jax_cannot_have_is_unsupported(module, said):
    pytest.importorskip("jax")
    from odecheck.engines.diffrax_program import jax_double
    from odecheck.engines.jax_field import jax_field

    jax_double()
    with pytest.raises(Unsupported, match=said):
        jax_field(module, torch.zeros(1, 2, dtype=torch.float64))


def test_diffrax_backpropagates():
    """One method and one adjoint: every further one is compiled anew, for seconds. The matrix has them all."""
    diffrax = pytest.importorskip("odecheck.engines.diffrax")
    pytest.importorskip("diffrax")
    subject = Subject(SHIPPED, diffrax.DiffraxAdaptive("dopri5", rtol=1e-9, land=True), diffrax.RECURSIVE)
    check(subject, network(), states=1e-6, slopes=1e-6, times=1e-6)
    with pytest.raises(Unsupported, match="one by one"):
        Subject(SHIPPED, GivenSteps("euler"), diffrax.RECURSIVE).solution(linear())
