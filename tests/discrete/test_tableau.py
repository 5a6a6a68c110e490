"""Tableaus: their stated orders follow from the order conditions, and their coefficients are torchdiffeq's."""

from __future__ import annotations

from functools import cache
from math import prod

import numpy as np
import pytest
import torch
from torchdiffeq import odeint
from torchdiffeq._impl.odeint import SOLVERS

from odecheck.discrete.tableau import METHODS, Tableau
from odecheck.engines.found import libraries
from odecheck.solvers import ADAPTIVE, MULTISTEP, ONE_STEP, Adaptive, FixedStep, orders

Tree = tuple["Tree", ...]


@cache
def trees(order: int) -> tuple[Tree, ...]:
    """The rooted trees of so many nodes, each as the sorted tuple of its branches."""
    if order == 1:
        return ((),)
    found = {
        tuple(sorted((*rest, branch))) for k in range(1, order) for branch in trees(k) for rest in trees(order - k)
    }
    return tuple(sorted(found))


def nodes(tree: Tree) -> int:
    return 1 + sum(map(nodes, tree))


def density(tree: Tree) -> int:
    return nodes(tree) * prod(map(density, tree))


def defect(tableau: Tableau, tree: Tree) -> float:
    """By how much Σ b_i Φ_i(tree) is off 1 / γ(tree): Butcher's order condition of that tree."""
    a = np.zeros((tableau.stages, tableau.stages))
    for i, row in enumerate(tableau.a):
        a[i, : len(row)] = row

    def weights(of: Tree) -> np.ndarray:
        return np.prod([a @ weights(branch) for branch in of], axis=0) if of else np.ones(tableau.stages)

    return abs(float(np.array(tableau.b) @ weights(tree)) - 1 / density(tree))


def order_of(tableau: Tableau) -> int:
    """The largest p of which all conditions up to p are met."""
    order = 0
    while order < 9 and all(defect(tableau, tree) < 1e-11 for tree in trees(order + 1)):
        order += 1
    return order


def test_there_are_as_many_trees_as_there_should_be() -> None:
    assert [len(trees(n)) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]


@pytest.mark.parametrize("name", METHODS)
def test_the_stated_order_is_that_of_the_order_conditions(name: str) -> None:
    assert order_of(METHODS[name]) == METHODS[name].order == {**ADAPTIVE, **ONE_STEP}[name]


def test_every_method_with_a_stated_order_has_a_tableau_or_several_steps() -> None:
    assert set(METHODS) == {*ADAPTIVE, *ONE_STEP}
    assert {*METHODS, *MULTISTEP} == set(FixedStep.METHODS) | (set(Adaptive.METHODS) - {"scipy_solver"})


@pytest.mark.parametrize("name", METHODS)
def test_a_changed_coefficient_is_of_another_order(name: str) -> None:
    tableau = METHODS[name]
    wrong = Tableau(tableau.a, (tableau.b[0] + 1e-6, *tableau.b[1:]), tableau.c, tableau.order)
    assert order_of(wrong) == 0


@pytest.mark.parametrize("name", MULTISTEP)
def test_multistep_methods_converge_with_their_stated_order(name: str) -> None:
    """y' = y cos t, with the formulas of that order: torchdiffeq's own default of twelve is unstable.

    Its `max_order` counts the correction of an implicit formula, which an explicit one does not have.
    """
    ts = torch.tensor([0.0, 2.0], dtype=torch.float64)
    y0 = torch.ones(1, 1, dtype=torch.float64)
    errors = []
    for steps in (100, 200, 400):
        options = {"step_size": 2.0 / steps, "max_order": MULTISTEP[name] + (name == "explicit_adams")}
        found = odeint(lambda t, y: y * torch.cos(t), y0, ts, method=name, options=options, rtol=1e-12, atol=1e-12)
        errors.append(abs(float(found[-1]) - float(np.exp(np.sin(2.0)))))
    slopes = np.log2(np.divide(errors[:-1], errors[1:]))
    assert slopes[-1] == pytest.approx(MULTISTEP[name], abs=0.3), slopes


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].adaptive])
def test_weights_in_mid_step_are_torchdiffeqs(name: str) -> None:
    tableau = METHODS[name]
    assert tableau.middle == tuple(SOLVERS[name].mid.tolist())
    assert sum(tableau.middle) == pytest.approx(0.5, abs=1e-13)


@pytest.mark.parametrize("name", [*METHODS, *MULTISTEP])
def test_torchdiffeq_states_the_same_order(name: str) -> None:
    stated = getattr(SOLVERS[name], "order", None)
    assert stated == orders(name)[name]


@pytest.mark.parametrize("library", libraries(), ids=lambda library: library.name)
def test_one_name_has_one_order_in_every_library(library) -> None:
    for way in library.asks(library.tested[-1], ""):
        for method, order in getattr(way.solver, "METHODS", {}).items():
            try:
                assert order == orders(method)[method]
            except KeyError:  # a method of this library alone
                continue
