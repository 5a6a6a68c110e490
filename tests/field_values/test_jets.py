"""Hand-derived derivatives of numpy fields against their values: the shipped ones, and slips in each part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from field_zoo import FIELDS, each_field, point
from odecheck_reference.fields import Mlp

from odecheck.field_values import Path, ask_jets, refusal_of


def path_from(y) -> Path:
    return Path(np.array([0.0, 1.0]), np.stack([y, 1.1 * y]))


@each_field
def test_every_shipped_formula_is_that_of_its_values(field):
    _, y, theta = point(field, 0)
    seen = ask_jets(field, theta, path_from(y), samples=12)
    assert not seen.off
    assert len(seen.judged) >= 10
    assert {s.mode for s in seen.samples} == {"first derivative", "second derivative"}


@dataclass(frozen=True)
class Slip:
    """A network whose jet is off by a factor in one entry of one derivative."""

    inner: Mlp
    order: int
    entry: tuple[int, ...]
    off: float

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def jet(self, t, y, theta, order):
        jet = self.inner.jet(t, y, theta, order)
        if order < self.order:
            return jet
        part = ("first", "second")[self.order - 1]
        changed = np.array(getattr(jet, part))
        changed[(slice(None), *self.entry)] *= 1 + self.off
        return (
            replace(jet, **{part: changed}) if hasattr(jet, "__dataclass_fields__") else jet._replace(**{part: changed})
        )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("order", "off"), [(1, 1e-7), (2, 1e-3)])
def test_a_slip_in_one_entry_is_found(order, off, seed):
    field = Mlp(2, 2, (3,), time=True)
    _, y, theta = point(field, seed)
    width = 1 + field.state + field.params
    rng = np.random.default_rng(seed)
    while True:
        entry = (int(rng.integers(2)), *map(int, rng.integers(width, size=order)))
        part = field.jet(0.3, y, theta, 2)
        size = np.abs((part.first if order == 1 else part.second)[(slice(None), *entry)]).max()
        if size > 1e-2:
            break
    seen = ask_jets(Slip(field, order, entry, off), theta, path_from(y), samples=24, seed=seed)
    assert {s.mode for s in seen.off} == {("first derivative", "second derivative")[order - 1]}
    assert not ask_jets(Slip(field, order, entry, 0.0), theta, path_from(y), samples=24, seed=seed).off


def test_the_words_of_a_slip_and_of_none():
    field = Mlp(2, 2, (3,), time=True)
    _, y, theta = point(field, 0)
    knots = np.stack([y, y])
    words = refusal_of(Slip(field, 1, (0, 1), 1e-3), theta, np.array([0.0, 1.0]), knots)
    assert words is not None
    assert "first derivative in the jet of Slip" in words[0]
    assert refusal_of(Slip(field, 1, (0, 1), 0.0), theta, np.array([0.0, 1.0]), knots) is None
    assert refusal_of(FIELDS["logistic"], np.array([1.5, 2.0]), np.array([0.0, 1.0]), knots[..., :1]) is None
