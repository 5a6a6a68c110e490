"""Every hand-derived derivative of the reference against a complex step, and against 30-digit arithmetic."""

from __future__ import annotations

import mpmath
import numpy as np
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
)

from tests.field_zoo import NET, each_field, point

STEP = 1e-30  # a complex step has no cancellation: as small as it likes


def complex_step(field: Field, t, y, theta, order: int):
    """d(jet of `order`)/dz by a complex step in every component: the derivative axis comes last."""
    columns = []
    for component in range(1 + y.shape[1] + len(theta)):
        z = [np.array(part, dtype=complex) for part in (t, y, theta)]
        if component == 0:
            z[0] += 1j * STEP
        elif component <= y.shape[1]:
            z[1][:, component - 1] += 1j * STEP
        else:
            z[2][component - 1 - y.shape[1]] += 1j * STEP
        jet = field.jet(z[0], z[1], z[2], order)
        columns.append((jet.value, jet.first)[order].imag / STEP)
    return np.stack(columns, axis=-1)


def mismatch(observed, expected) -> float:
    """The largest difference, relative to the largest entry (in each row of the batch and each component)."""
    assert observed.shape == expected.shape
    return float(np.max(np.abs(observed - expected)) / max(np.max(np.abs(expected)), 1e-300))


@each_field
@pytest.mark.parametrize("seed", range(3))
def test_derivatives_are_those_of_a_complex_step(field, seed):
    t, y, theta = point(field, seed)
    jet = field.jet(t, y, theta, 2)
    assert mismatch(jet.first, complex_step(field, t, y, theta, 0)) <= 1e-14
    assert mismatch(jet.second, complex_step(field, t, y, theta, 1)) <= 1e-14


def blocks(field: Field) -> dict[str, slice]:
    return {"t": slice(0, 1), "y": slice(1, 1 + field.state), "theta": slice(1 + field.state, None)}


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


def wrong_seconds(field: Field, second):
    """Each block off by 1e-12 of the largest entry, and each block dropped."""
    for name, p in blocks(field).items():
        for other, q in blocks(field).items():
            block = second[..., p, q]
            if block.any():
                for defect in (-1, 1e-12 * np.max(np.abs(second)) / np.max(np.abs(block))):
                    mutant = second.copy()
                    mutant[..., p, q] *= 1 + defect
                    yield f"{name}, {other} off by {defect}", mutant


@each_field
def test_wrong_derivatives_are_refuted(field):
    t, y, theta = point(field, 0)
    jet = field.jet(t, y, theta, 2)
    first, second = (complex_step(field, t, y, theta, order) for order in (0, 1))
    missed = [name for name, mutant in wrong_firsts(field, jet.first) if mismatch(mutant, first) <= 1e-14]
    missed += [name for name, mutant in wrong_seconds(field, jet.second) if mismatch(mutant, second) <= 1e-14]
    assert missed == []


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
