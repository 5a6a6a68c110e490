"""Every hand-derived derivative of the reference against a complex step, and against 30-digit arithmetic."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import mpmath
import numpy as np
import odecheck_reference.fields
import pytest
from odecheck_reference.fields import (
    Adam,
    Augmented,
    Field,
    GradientFlow,
    HeavyBall,
    Logistic,
    Mlp,
    OfTime,
    SecondOrder,
    Switched,
)

from tests.field_zoo import (
    NET,
    STEP,
    blocks,
    complex_step,
    each_field,
    examples,
    files,
    mismatch,
    not_public,
    point,
    without_example,
    wrong_seconds,
)


def test_every_field_has_an_example_beside_it_and_can_be_imported_from_the_package():
    assert without_example(files()) == []
    assert not_public(files(), odecheck_reference.fields) == []


def test_a_field_without_an_example_or_that_cannot_be_imported_is_said():
    new: Any = ModuleType("odecheck_reference.fields.cubic")
    exec("class Cubic:\n    params = 1\n    def jet(self, t, y, theta, order): ...", vars(new))
    new.Cubic.__module__ = new.__name__
    (said,) = without_example([new])
    assert "fields.cubic.Cubic has no example" in said and 'EXAMPLES = {"a name": Cubic(...)}' in said
    (said,) = not_public([new], odecheck_reference.fields)
    assert "from .cubic import Cubic, and the name in __all__" in said
    new.EXAMPLES = {"linear": Logistic()}
    assert len(without_example([new])) == 1  # an example of another field is none
    with pytest.raises(ValueError, match=r"two examples are called 'linear': give that of .*cubic another name"):
        examples([*files(), new])


def test_a_switch_takes_the_new_rate_from_its_very_time_on():
    field, theta, y = Switched(at=0.7), np.array([-1.5, 0.25]), np.array([[2.0]])
    for t, rate in ((np.nextafter(0.7, 0), -1.5), (0.7, 0.25), (0.7 + 1j * STEP, 0.25), (mpmath.mpf(0.7), 0.25)):
        assert field.jet(t, y, theta, 0).value[0, 0] == rate * 2


@each_field
@pytest.mark.parametrize("seed", range(3))
def test_derivatives_are_those_of_a_complex_step(field, seed):
    t, y, theta = point(field, seed)
    jet = field.jet(t, y, theta, 2)
    assert mismatch(jet.first, complex_step(field, t, y, theta, 0)) <= 1e-14
    assert mismatch(jet.second, complex_step(field, t, y, theta, 1)) <= 1e-14


def wrong_firsts(field: Field, first):
    """Each block off by 1e-12 of the largest entry, the time derivative dropped, the Jacobian transposed."""
    for name, block in blocks(field).items():
        if first[..., block].any():
            mutant = first.copy()
            mutant[..., block] *= 1 + 1e-12 * np.max(np.abs(first)) / np.max(np.abs(first[..., block]))
            yield f"{name} scaled", mutant
    if first[..., 0].any():
        mutant = first.copy()
        mutant[..., 0] = 0
        yield "time dropped", mutant
    transposed = first.copy()
    y = blocks(field)["y"]
    transposed[..., y] = np.swapaxes(first[..., y], -1, -2)
    if (transposed != first).any() and not isinstance(field, GradientFlow):
        yield "transposed", transposed


def slightly_wrong_seconds(field: Field, second):
    """Each block off by 1e-12 of the largest entry."""
    for name, p in blocks(field).items():
        for other, q in blocks(field).items():
            block = second[..., p, q]
            if block.any():
                mutant = second.copy()
                mutant[..., p, q] *= 1 + 1e-12 * np.max(np.abs(second)) / np.max(np.abs(block))
                yield f"{name}, {other} off by 1e-12 of the largest entry", mutant


@each_field
def test_wrong_derivatives_are_refuted(field):
    t, y, theta = point(field, 0)
    jet = field.jet(t, y, theta, 2)
    first, second = (complex_step(field, t, y, theta, order) for order in (0, 1))
    missed = [name for name, mutant in wrong_firsts(field, jet.first) if mismatch(mutant, first) <= 1e-14]
    mutants = [*slightly_wrong_seconds(field, jet.second), *wrong_seconds(field, jet.second)]
    missed += [name for name, mutant in mutants if mismatch(mutant, second) <= 1e-14]
    assert missed == [] and len(mutants) >= 2


def test_the_logistic_solution_satisfies_its_equation():
    field = Logistic()
    theta, y0 = np.array([1.3, 2.1]), np.array([[0.2], [1.7], [3.0]])
    for t in (0.4, 2.5):
        slope = field.solution(t + 1j * STEP, y0, theta).imag / STEP
        assert mismatch(slope, field.jet(t, field.solution(t, y0, theta), theta, 0).value) <= 2e-15
    assert mismatch(field.solution(0.0, y0, theta), y0) <= 1e-15


def test_a_gradient_field_has_a_symmetric_jacobian():
    field = GradientFlow(3, 4, "gelu")
    jacobian = field.jet(*point(field, 5), 1).first[..., 1:4]
    assert mismatch(jacobian, np.swapaxes(jacobian, -1, -2)) <= 1e-15


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Mlp(2, 2, activation="relu"), "unknown activation 'relu'"),
        (lambda: Mlp(3, 2).state, "no vector field by itself"),
        (lambda: SecondOrder(Mlp(3, 2)), "give it 2 inputs"),
        (lambda: Augmented(Mlp(2, 2), extra=2), "0 < extra < outputs"),
        (lambda: HeavyBall(Mlp(3, 2)), "size of h"),
        (lambda: HeavyBall(NET, signs="other"), "'paper' or 'code'"),
        (lambda: Adam(Mlp(3, 2)), "size of h"),
        (lambda: Adam(NET, epsilon=0.0), "give epsilon > 0"),
        (lambda: Adam(NET, denominator="other"), "'paper' or 'code'"),
        (lambda: OfTime(NET), "time alone to one number"),
        (lambda: GradientFlow(2, 2, "relu"), "unknown activation 'relu'"),
    ],
)
def test_fields_that_do_not_fit_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@each_field
def test_jet_is_consistent_and_satisfies_the_protocol(field):
    assert isinstance(field, Field)
    t, y, theta = point(field, 7)
    jets = [field.jet(t, y, theta, order) for order in range(3)]
    n = 1 + field.state + field.params
    assert jets[2].value.shape == (2, field.state) and jets[2].first.shape == (2, field.state, n)
    assert jets[2].second.shape == (2, field.state, n, n)
    assert jets[0].first is None and jets[0].second is None and jets[1].second is None
    assert (jets[0].value == jets[2].value).all() and (jets[1].first == jets[2].first).all()
    assert mismatch(jets[2].second, np.swapaxes(jets[2].second, -1, -2)) <= 1e-15
    covered = np.concatenate([np.arange(field.state)[part] for part in field.parts.values()])
    assert (covered == np.arange(field.state)).all()
    rows = [field.jet(t, y[i : i + 1], theta, 2) for i in range(2)]
    assert mismatch(np.concatenate([row.second for row in rows]), jets[2].second) <= 1e-15


def objects(x):
    return np.frompyfunc(mpmath.mpf, 1, 1)(np.asarray(x, dtype=object))


@each_field
def test_thirty_digits_round_to_float64(field):
    t, y, theta = point(field, 3)
    machine = field.jet(t, y, theta, 2)
    with mpmath.workdps(30):
        exact = field.jet(mpmath.mpf(t), objects(y), objects(theta), 2)
        for name in ("value", "first", "second"):
            seen, true = getattr(machine, name), getattr(exact, name)
            assert all(isinstance(entry, mpmath.mpf) for entry in true.flat)
            assert mismatch(seen, true) <= 1e-15
