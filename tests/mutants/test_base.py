"""One class of wrong engine: it replaces any operation, forwards the others, and refuses what is none."""

from dataclasses import replace

import pytest
import torch
from odecheck_reference import catalogue

from odecheck import SHIPPED, Backprop, FixedStep, Subject, Unsupported
from odecheck.curvature.recipe import RIGHT
from odecheck.engines.base import factors_of, graph_of
from odecheck.engines.own import Discrete
from odecheck.mutants.base import OPERATIONS, WrongEngine, then, wrong_engine

PROBLEM = catalogue.full()[0]


class _Everything:
    """Answers every operation with its own name."""

    name, target, lands = "everything", "steps", True

    def __getattribute__(self, name):
        return (lambda *_, **__: name) if name in OPERATIONS else object.__getattribute__(self, name)


for operation in OPERATIONS:
    setattr(_Everything, operation, None)  # a protocol asks the class


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_forwarded_unless_it_is_replaced(operation):
    right = _Everything()
    assert getattr(WrongEngine(right, ""), operation)(1) == operation  # type: ignore[arg-type]
    wrong = WrongEngine(right, "late", ((operation, lambda engine, *a: (engine, *a)),))  # type: ignore[arg-type]
    assert getattr(wrong, operation)(1, 2) == (right, 1, 2)
    assert all(getattr(wrong, other)() == other for other in OPERATIONS if other != operation)
    assert (wrong.name, wrong.target, wrong.lands) == ("everything [late]", "steps", True)


def test_an_operation_that_the_right_engine_has_not_is_unsupported():
    wrong = WrongEngine(Backprop(), "x", (("factors", lambda *_: None),))
    with pytest.raises(Unsupported, match="no Gauss-Newton factors"):
        factors_of(wrong).factors(*[None] * 5)  # type: ignore[arg-type]
    assert graph_of(wrong) is wrong and wrong.curvature is RIGHT


def test_a_misspelt_operation_is_refused_where_the_mutant_is_defined():
    with pytest.raises(TypeError, match=r"replaces hesian.*Type one of .*hessian"):
        wrong_engine("misspelt", hesian=lambda *_: None)
    with pytest.raises(TypeError, match="replaces slution"):
        WrongEngine(Backprop(), "misspelt", (("slution", None),))


def test_mistakes_add_up_and_equal_ones_are_equal():
    doubled = wrong_engine("doubled", solution=then("solution", lambda y: 2 * y))
    right = Subject(SHIPPED, FixedStep("rk4", step=0.25), Discrete())
    once, twice = doubled(right), doubled(doubled(right))
    assert once == doubled(right) and hash(once) == hash(doubled(right)) and once != right
    y = torch.from_numpy(right.solution(PROBLEM))
    assert torch.equal(torch.from_numpy(once.solution(PROBLEM)), 2 * y)
    assert torch.equal(torch.from_numpy(twice.solution(PROBLEM)), 4 * y)
    curved = wrong_engine("curved", curvature=replace(RIGHT, last_interval=True))
    assert doubled(curved(right)).engine.curvature.last_interval  # type: ignore[attr-defined]
