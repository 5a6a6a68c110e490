"""The discrete twin's derivatives equal automatic differentiation through the same steps, to round-off."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchdiffeq import odeint

from odecheck.discrete import Trajectory, gradient, hvp, jvp, record, vjp
from odecheck.discrete.tableau import METHODS
from tests.discrete.test_oracle import (
    ROUND_OFF,
    Net,
    direction_of,
    double_backward,
    draw,
    everywhere,
    gap,
    times,
    unrolled,
)

LOOSE = {"fehlberg2": 1e-2, "adaptive_heun": 1e-2}


def solve(method: str, field: nn.Module, y0: Tensor, t: Tensor, **how: object) -> Trajectory:
    options = {} if METHODS[method].adaptive else {"step_size": 0.1}
    tolerance = LOOSE.get(method, 1e-4)
    return record(field, y0, t, method=method, rtol=tolerance, atol=tolerance, options=options, **how)  # type: ignore[arg-type]


def gaps(trajectory: Trajectory, loss: Callable[[Tensor], Tensor] = everywhere) -> tuple[float, float]:
    """(gap of the gradient, gap of a Hessian-vector product) to the unrolled steps."""
    y0, direction = trajectory.solution[0], direction_of(trajectory)
    first, second = double_backward(lambda y: unrolled(trajectory, y), loss, y0, trajectory.parameters, direction)
    theta = {name: value[None] for name, value in direction.items() if name != "y0"}
    found = hvp(trajectory, loss, y0=direction["y0"][None], theta=theta)
    slopes = [found.gradient.y0, *found.gradient.theta.values()]
    products = [found.y0[0], *(value[0] for value in found.theta.values())]
    return gap(slopes, first), gap(products, second)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("route", "checkpoint"),
    [("blocks", False), ("blocks", True), ("sweep", False), ("sweep", True), ("unrolled", False)],
)
@pytest.mark.parametrize("t", [(0.0, 0.4, 1.0), (1.0, 0.3, -0.2)])
def test_second_derivatives_of_every_method(method: str, route: str, checkpoint: bool, t: tuple[float, ...]) -> None:
    trajectory = solve(method, Net(), draw(3, 2), times(*t), route=route, checkpoint=checkpoint)
    assert len(trajectory.sizes) > 2
    assert (len(trajectory.bounds()) > 1) == checkpoint
    assert max(gaps(trajectory)) < ROUND_OFF


@pytest.mark.parametrize("activation", [nn.Softplus, nn.Sigmoid, nn.GELU, nn.ELU, nn.SiLU])
def test_activations(activation: Callable[[], nn.Module]) -> None:
    field = Net(activation=activation)
    assert max(gaps(solve("dopri5", field, draw(3, 2), times(0.0, 0.5, 1.0)))) < ROUND_OFF


@pytest.mark.parametrize("shape", [(2,), (1, 2), (5, 2), (2, 3, 2)])
def test_state_shapes(shape: tuple[int, ...]) -> None:
    assert max(gaps(solve("bosh3", Net(), draw(*shape), times(0.0, 0.5, 1.0)))) < ROUND_OFF


class Conv(nn.Module):
    """Images (batch, 1, 4, 4); rows are independent, but nothing inside a row is."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.conv = nn.Conv2d(1, 1, 3, padding=1).double()

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(self.conv(y)) * (1 + t)


class Norm(nn.Module):
    """Batch statistics couple the rows."""

    def __init__(self) -> None:
        super().__init__()
        # no bias: batch normalisation takes it away again, and round-off over a zero gradient says nothing
        self.linear = nn.Linear(2, 2, bias=False).double()
        with torch.no_grad():
            self.linear.weight.copy_(draw(2, 2, seed=5))
        self.norm = nn.BatchNorm1d(2, track_running_stats=False).double()

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(self.norm(self.linear(y)))


class Branch(Net):
    """Looks at the time's value, which vmap refuses."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return super().forward(t, y) * (2.0 if t.item() > 0.5 else 1.0)


class OnlyOnce(torch.autograd.Function):
    """A custom function that vmap cannot batch."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:  # type: ignore[override]
        return g * ctx.saved_tensors[0].cos()


class Custom(Net):
    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return OnlyOnce.apply(super().forward(t, y))  # type: ignore[no-any-return]


class Constant(nn.Module):
    """Depends on neither the state nor any parameter."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.ones_like(y) * t


@pytest.mark.parametrize(
    ("field", "shape"),
    [(Conv(), (2, 1, 4, 4)), (Norm(), (4, 2)), (Branch(), (3, 2)), (Custom(), (3, 2))],
    ids=["conv", "norm", "branch", "custom"],
)
@pytest.mark.parametrize("route", ["auto", "sweep", "unrolled"])
def test_any_module(field: nn.Module, shape: tuple[int, ...], route: str) -> None:
    assert max(gaps(solve("bosh3", field, draw(*shape), times(0.0, 0.5, 1.0), route=route))) < ROUND_OFF


def test_a_field_without_derivatives() -> None:
    trajectory = record(Constant(), draw(2, 2), times(0.0, 1.0))
    found = hvp(trajectory, lambda y: (y[-1] ** 2).sum(), y0=draw(1, 2, 2))
    assert gap([found.gradient.y0, found.y0[0]], [2 * trajectory.solution[-1], 2 * draw(1, 2, 2)[0]]) < ROUND_OFF


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    method=st.sampled_from(["dopri5", "bosh3", "rk4", "adaptive_heun"]),
    d=st.integers(1, 4),
    batch=st.integers(1, 4),
    inner=st.lists(st.floats(0.1, 0.9), max_size=3, unique=True),
    backwards=st.booleans(),
)
def test_drawn_problems(seed: int, method: str, d: int, batch: int, inner: list[float], backwards: bool) -> None:
    t = times(0.0, *sorted({round(x, 1) for x in inner}), 1.0)
    t = t.flip(0) if backwards else t
    assert max(gaps(solve(method, Net(d=d, seed=seed), draw(batch, d, seed=seed), t))) < ROUND_OFF


def test_torchdiffeq_itself_through_adaptive_steps() -> None:
    """Given the first step (which torchdiffeq differentiates otherwise) its double backward is that of the steps."""
    field, y0, t = Net(), draw(3, 2), times(0.0, 0.4, 1.0)
    trajectory = record(field, y0, t, rtol=1e-6, atol=1e-6, options={"first_step": 0.05})
    direction = direction_of(trajectory)
    options = {"first_step": 0.05, "step_t": t[1:]}
    _, second = double_backward(
        lambda y: odeint(field, y, t, rtol=1e-6, atol=1e-6, method="dopri5", options=options),  # type: ignore[arg-type]
        everywhere,
        y0,
        trajectory.parameters,
        direction,
    )
    theta = {name: value[None] for name, value in direction.items() if name != "y0"}
    found = hvp(trajectory, everywhere, y0=direction["y0"][None], theta=theta)
    assert gap([found.y0[0], *(value[0] for value in found.theta.values())], second) < 1e-10


@pytest.mark.parametrize("checkpoint", [False, True])
def test_tangent_and_adjoint_are_each_others_transpose(checkpoint: bool) -> None:
    trajectory = solve("dopri5", Net(), draw(3, 2), times(0.0, 0.4, 1.0), checkpoint=checkpoint)
    direction = {name: draw(4, *value.shape, seed=11) for name, value in direction_of(trajectory).items()}
    y0 = direction.pop("y0")
    cotangents = draw(5, 3, 3, 2)
    tangents = jvp(trajectory, y0=y0, theta=direction)
    start, theta = vjp(trajectory, cotangents)
    left = tangents.flatten(1) @ cotangents.flatten(1).T
    right = y0.flatten(1) @ start.flatten(1).T
    right = right + sum(direction[name].flatten(1) @ value.flatten(1).T for name, value in theta.items())
    assert gap([left], [right]) < ROUND_OFF


@pytest.mark.parametrize("method", ["rk4", "midpoint", "heun3"])
@pytest.mark.parametrize("values", [(0.0, 0.4, 0.5, 1.0), (1.0, 0.4, 0.1)])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_times_derivatives_are_those_of_a_grid_that_moves_along(
    method: str, values: tuple[float, ...], checkpoint: bool
) -> None:
    """Central differences: torchdiffeq's own derivative in an interior time on the grid is zero."""
    field, y0, t = Net(), draw(3, 2), times(*values)
    found = gradient(record(field, y0, t, method=method, checkpoint=checkpoint), everywhere, times=True)
    assert found.times is not None
    assert gap([found.times], [moved(field, y0, t, method)]) < 1e-8


def test_times_derivatives_of_adaptive_steps_keep_each_steps_share_of_its_interval() -> None:
    field, y0, t = Net(), draw(3, 2), times(0.0, 0.5, 1.2)
    trajectory = solve("dopri5", field, y0, t)
    found = gradient(trajectory, everywhere, times=True).times
    assert found is not None

    def at(moved_t: Tensor) -> Tensor:
        """The same steps, stretched with their intervals."""
        starts, clock = times(*trajectory.step_starts), moved_t - t
        interval = (starts[:, None] >= t[1:-1]).sum(1)

        def move(x: Tensor) -> Tensor:
            share = (x - t[interval]) / (t[1:] - t[:-1])[interval]
            return x + clock[interval] * (1 - share) + clock[interval + 1] * share

        sizes = move(starts + times(*trajectory.sizes)) - move(starts)
        stages = torch.stack([move(x) for x in times(*sum(trajectory.stage_times, ())).view(len(starts), -1).T], 1)
        mutant = dataclasses.replace(trajectory, sizes=sizes.tolist(), stage_times=[tuple(x) for x in stages.tolist()])
        return everywhere(unrolled(mutant, y0)).detach()

    h = 1e-5
    slopes = [(at(t + h * unit) - at(t - h * unit)) / (2 * h) for unit in torch.eye(3, dtype=t.dtype)]
    assert gap([found], [torch.stack(slopes)]) < 1e-8


def moved(field: nn.Module, y0: Tensor, t: Tensor, method: str) -> Tensor:
    """Central differences in the times."""
    h, slopes = 1e-5, []
    for i in range(len(t)):
        step = torch.zeros_like(t)
        step[i] = h
        ends = [everywhere(record(field, y0, t + sign * step, method=method).solution) for sign in (1, -1)]
        slopes.append((ends[0] - ends[1]) / (2 * h))
    return torch.stack(slopes)
