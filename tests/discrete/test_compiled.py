"""Compiled steps: equal to eager ones for every method and kind of field, and refused in words where they would lie."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from odecheck.discrete import NotCompiled, Trajectory, gradient, hvp, record
from odecheck.discrete.tableau import METHODS
from odecheck.fields import HBNODE, AdamNODE

from .oracle import ROUND_OFF, Net, draw


def loss(y: Tensor) -> Tensor:
    return (y[1:] ** 2).sum() + (y[-1] ** 4).mean() + y[0].sum()


def solved(
    field: nn.Module, y0: Tensor, compile: object = "graphs", method: str = "dopri5", sign: int = 1
) -> Trajectory:
    t = sign * torch.tensor([0.0, 0.5, 1.0], dtype=y0.dtype)
    options = {} if METHODS[method].adaptive else {"step_size": 0.25}
    return record(field, y0, t, method=method, rtol=1e-4, atol=1e-5, options=options, compile=compile)  # type: ignore[arg-type]


def parts(trajectory: Trajectory, directions: int) -> Iterator[Tensor]:
    """The solution, the gradient, and products with so many directions."""
    theta = {name: draw(directions, *p.shape, seed=3).to(p) for name, p in trajectory.parameters.items()}
    start = draw(directions, *trajectory.state_shape, seed=5).to(trajectory.solution)
    found, first = hvp(trajectory, loss, y0=start, theta=theta), gradient(trajectory, loss)
    yield from (trajectory.solution, first.y0, found.gradient.y0, found.y0)
    for name in theta:
        yield from (first.theta[name], found.gradient.theta[name], found.theta[name])


def equal(compiled: Trajectory, eager: Trajectory, directions: int = 1, bound: float = ROUND_OFF) -> None:
    assert compiled.compiled is not None and eager.compiled is None
    assert len(compiled.sizes) == len(eager.sizes)
    for a, b in zip(parts(compiled, directions), parts(eager, directions), strict=True):
        assert (a - b).abs().max() <= bound * (b.abs().max() + 1e-3)


class Conv(nn.Module):
    """A convolutional field with a group norm."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(
                nn.Conv2d(2, 2, 3, padding=1), nn.GroupNorm(1, 2), nn.Softplus(), nn.Conv2d(2, 2, 1)
            )

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.net(y)


FIELDS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convolutional": (Conv, (2, 2, 3, 3)),
    "HBNODE": (lambda: HBNODE(Net(2)), (3, 4)),
    "AdamNODE": (lambda: AdamNODE(Net(2)), (3, 6)),
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_what_eager_steps_give(method: str) -> None:
    sign = -1 if METHODS[method].carries else 1
    field, y0 = Net(), draw(3, 2)
    equal(solved(field, y0, "graphs", method, sign), solved(field, y0, False, method, sign))


@pytest.mark.parametrize("name", FIELDS)
def test_kinds_of_fields(name: str) -> None:
    made, shape = FIELDS[name]
    field, y0 = made().double(), 0.5 + draw(*shape).abs()
    equal(solved(field, y0, "graphs", "heun2"), solved(field, y0, False, "heun2"))


def test_many_directions_at_once_and_decreasing_times() -> None:
    field, y0 = Net(), draw(3, 2)
    equal(solved(field, y0, "graphs", "adaptive_heun", -1), solved(field, y0, False, "adaptive_heun", -1), 3)


def test_float32() -> None:
    field, y0 = Net().float(), draw(3, 2).float()
    equal(solved(field, y0, "graphs", "rk4"), solved(field, y0, False, "rk4"), bound=2e-5)


def test_by_inductor() -> None:
    field, y0 = Net(), draw(3, 2)
    equal(solved(field, y0, True, "heun2"), solved(field, y0, False, "heun2"))


class Scaled(Net):
    """A field with a number as an attribute, and one that is looked up elsewhere."""

    elsewhere: ClassVar = [1.0]

    def __init__(self) -> None:
        super().__init__()
        self.factor = 1.0

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.factor * self.elsewhere[0] * super().forward(t, y)


def test_a_stale_graph_is_not_believed_and_is_made_anew() -> None:
    field, y0 = Scaled(), draw(3, 2)
    solved(field, y0, "graphs", "heun2")
    field.elsewhere[0] = 1.001
    try:
        with pytest.warns(NotCompiled, match="own slopes at the first step"):
            found = solved(field, y0, "graphs", "heun2")
        assert found.compiled is None
        equal(solved(field, y0, "graphs", "heun2"), solved(field, y0, False, "heun2"))
    finally:
        field.elsewhere[0] = 1.0


def test_the_last_step_is_looked_at_too() -> None:
    field = Scaled()

    def later(t: Tensor, y: Tensor, size: Tensor) -> None:
        field.elsewhere[0] = 1.0 if t < 0.5 else 1.001

    field.callback_step = later  # type: ignore[assignment]
    with pytest.warns(NotCompiled, match="own slopes at the last step"):
        assert solved(field, draw(3, 2), "graphs", "euler").compiled is None
    Scaled.elsewhere[0] = 1.0


@pytest.mark.parametrize("part", ["tangent", "adjoint", "second"])
def test_a_wrong_derivative_is_not_believed(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from odecheck.discrete import one_step

    right = one_step.split

    def wrong(*arguments: object) -> dict[str, one_step.Part]:
        found = right(*arguments)  # type: ignore[arg-type]
        own, run = found[part], found[part].run
        off = one_step.Part(lambda v: [1.0001 * x for x in run(v)], own.reads, own.writes, own.results)
        return {**found, part: off}

    monkeypatch.setattr(one_step, "split", wrong)
    with pytest.warns(NotCompiled, match="compiled derivatives"):
        assert solved(Net(), draw(3, 2), "graphs", "euler").compiled is None


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise RuntimeError("no C++ compiler\nand more")

    monkeypatch.setattr("odecheck.compat.compiled_graph", missing)
    with pytest.warns(NotCompiled, match=r"RuntimeError: no C\+\+ compiler$"):
        assert solved(Net(), draw(3, 2), True, "euler").compiled is None


def test_it_is_silent_where_it_works() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solved(Net(), draw(3, 2), "graphs", "euler")
