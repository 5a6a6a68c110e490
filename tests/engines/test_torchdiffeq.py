"""torchdiffeq: the seminorm, and the methods of its releases."""

from __future__ import annotations

import pytest

from odecheck import SHIPPED, Adaptive, FixedStep, Subject, Unsupported
from odecheck.engines.torchdiffeq import RELEASES, Interface, Seminorm, methods_of, of_release, solvers_of
from odecheck.problem_sets.conformance import network
from tests.engines.truth import check


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
