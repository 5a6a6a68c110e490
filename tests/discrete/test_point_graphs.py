"""Derivatives at the stage points by graphs: equal to eager ones, and refused in words where they would lie."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from odecheck.discrete import NotCompiled, gauss_newton_factors, hessian, hessian_y0, jvp, squared_error_factors
from odecheck.discrete.one_step import kept_of
from odecheck.discrete.point_graphs import PointGraphs
from odecheck.fields import HBNODE, AdamNODE

from .oracle import ROUND_OFF, Net, draw
from .test_compiled import Conv, Scaled, loss, solved

FIELDS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "dense, with time": (Net, (3, 2), "heun2"),
    "convolutional": (Conv, (2, 2, 3, 3), "euler"),
    "HBNODE": (lambda: HBNODE(Net(2)), (2, 4), "euler"),
    "AdamNODE": (lambda: AdamNODE(Net(2)), (2, 6), "euler"),
}


def close(a: Tensor, b: Tensor) -> None:
    assert a.shape == b.shape and (a - b).abs().max() <= ROUND_OFF * b.abs().max()


@pytest.mark.parametrize("name", FIELDS)
def test_hessians_and_tangents_are_those_of_eager_steps(name: str) -> None:
    made, shape, method = FIELDS[name]
    field, y0 = made().double(), 0.5 + draw(*shape).abs()
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotCompiled)
        mine, eager = (solved(field, y0, how, method) for how in ("graphs", False))
        assert mine.compiled is not None
        close(hessian(mine, loss), hessian(eager, loss))
        theta = {name: draw(3, *p.shape, seed=2) for name, p in mine.parameters.items()}
        start = draw(3, *shape, seed=4)
        close(jvp(mine, y0=start, theta=theta), jvp(eager, y0=start, theta=theta))
        close(jvp(mine, y0=start[:1]), jvp(eager, y0=start[:1]))
    used = {key[0] for key in kept_of(field) if isinstance(key[0], str) and key[0] != "graphs"}
    assert used == {"pulls", "second_pulls", "bends"} or name == "convolutional"


def test_gauss_newton_rows() -> None:
    field, y0 = Net(), draw(3, 2)
    mine, eager = (solved(field, y0, how, "euler", -1) for how in ("graphs", False))
    a, b = (gauss_newton_factors(at, squared_error_factors(at.solution), by_row=True) for at in (mine, eager))
    close(a.y0, b.y0)
    for name in a.theta:
        close(a.theta[name], b.theta[name])


def test_coupled_rows_are_seen() -> None:
    class Coupled(Net):
        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            return super().forward(t, y) + y.mean(0)

    field, y0 = Coupled(), draw(3, 2)
    close(*(hessian_y0(solved(field, y0, how, "euler"), loss) for how in ("graphs", False)))


@pytest.mark.parametrize("part", ["pulls", "second_pulls", "bends"])
def test_a_wrong_graph_is_not_believed(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right, field, y0 = getattr(PointGraphs, part), Net(), draw(3, 2)

    def wrong(self: PointGraphs, *given: Tensor) -> tuple[Tensor, ...]:
        k, *found = right(self, *given)
        return k, *(1.0001 * x for x in found)

    monkeypatch.setattr(PointGraphs, part, wrong)
    mine = solved(field, y0, "graphs", "euler")
    with pytest.warns(NotCompiled, match="stage points are not those of automatic differentiation"):
        found = hessian(mine, loss)
    close(found, hessian(solved(field, y0, False, "euler"), loss))


def test_a_stale_graph_is_not_believed() -> None:
    field, y0 = Scaled(), draw(3, 2)
    hessian_y0(solved(field, y0, "graphs", "euler"), loss)
    stale = {key: made for key, made in kept_of(field).items() if key[0] in ("pulls", "second_pulls")}
    field.elsewhere[0] = 1.001
    try:
        with pytest.warns(NotCompiled):
            solved(field, y0, "graphs", "euler")
        mine = solved(field, y0, "graphs", "euler")
        assert mine.compiled is not None and len(stale) == 2
        kept_of(field).update(stale)
        with pytest.warns(NotCompiled, match="do not belong to the field as it is"):
            found = hessian_y0(mine, loss)
        close(found, hessian_y0(solved(field, y0, False, "euler"), loss))
        assert not set(stale) & set(kept_of(field))
    finally:
        field.elsewhere[0] = 1.0


def test_a_parameter_that_has_changed_since_is_seen() -> None:
    field, y0 = Net(), draw(3, 2)
    mine = solved(field, y0, "graphs", "euler")
    with torch.no_grad():
        next(field.parameters()).add_(0.1)
    for derive in (lambda: hessian(mine, loss), lambda: jvp(mine, y0=draw(1, 3, 2))):
        with pytest.raises(ValueError, match="changed in place"):
            derive()
