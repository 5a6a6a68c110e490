"""The recorded steps are torchdiffeq's accepted steps."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchdiffeq import odeint

from odecheck.discrete import record
from odecheck.discrete.tableau import METHODS
from tests.discrete.test_oracle import Net, draw, gap, times

ADAPTIVE = [name for name, tableau in METHODS.items() if tableau.adaptive]
FIXED = [name for name, tableau in METHODS.items() if not tableau.adaptive]
LOOSE = {"fehlberg2": 1e-3, "adaptive_heun": 1e-3, "bosh3": 1e-5}


class Collector(nn.Module):
    """A field that notes the accepted steps of torchdiffeq."""

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field, self.steps = field, []

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.field(t, y)

    def callback_accept_step(self, t0: Tensor, y0: Tensor, dt: Tensor) -> None:
        self.steps.append((float(t0), float(dt)))


@pytest.mark.parametrize("name", METHODS)
def test_a_tableau_satisfies_the_identities_of_a_consistent_method(name: str) -> None:
    tableau = METHODS[name]
    assert sum(tableau.b) == pytest.approx(1, abs=1e-14)
    for row, c in zip(tableau.a, tableau.c, strict=True):
        assert sum(row) == pytest.approx(c, abs=2e-14)
    if tableau.error is not None:
        assert sum(tableau.error) == pytest.approx(0, abs=2e-14)
    if tableau.first_stage == "last_is_end":
        assert (*tableau.a[-1], 0.0) == tableau.b
        assert tableau.c[-1] == 1


@pytest.mark.parametrize("name", METHODS)
def test_a_tableau_has_the_order_it_says(name: str) -> None:
    """Σ b_i c_i^(q-1) = 1/q up to the order; fehlberg2's second-order solution is b itself."""
    tableau = METHODS[name]
    for q in range(1, tableau.order + 1):
        moment = sum(b * c ** (q - 1) for b, c in zip(tableau.b, tableau.c, strict=True))
        assert moment == pytest.approx(1 / q, abs=1e-13)


def compare(method: str, t: Tensor, field: nn.Module, y0: Tensor, tolerance: float, **options: object) -> None:
    collector = Collector(field)
    with torch.no_grad():
        expected = odeint(
            collector, y0, t, method=method, rtol=tolerance, atol=tolerance, options={"step_t": t[1:], **options}
        )
    assert isinstance(expected, Tensor)
    found = record(field, y0, t, method=method, rtol=tolerance, atol=tolerance, options=options)
    assert len(collector.steps) == len(found.sizes)
    starts, sizes = zip(*collector.steps, strict=True)
    # an error estimate is a difference that cancels: its round-off, over the tolerance, is what sizes can differ by
    bar = 1e4 * torch.finfo(y0.dtype).eps / tolerance
    assert gap([times(*found.step_starts)], [times(*starts)]) < bar
    assert gap([times(*found.sizes)], [times(*sizes).abs()]) < bar
    assert gap([found.solution], [expected]) < 1e-3 * tolerance


@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize("t", [(0.0, 0.4, 2.0), (1.0, 0.3, -0.5)])
def test_recorded_steps_are_torchdiffeqs_accepted_steps(method: str, t: tuple[float, ...]) -> None:
    compare(method, times(*t), Net(), draw(3, 2), LOOSE.get(method, 1e-7))


class Kick(nn.Module):
    """A field that jumps at t = 1/2."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return -3 * y + (t > 0.5).to(y)


@pytest.mark.parametrize(
    "options",
    [
        {"first_step": 0.01},
        {"max_step": 0.05},
        {"min_step": 0.02, "safety": 0.7},
        {"ifactor": 2.0, "dfactor": 0.5},
        {"norm": lambda x: x.abs().max()},
        {"jump_t": times(0.5)},
    ],
    ids=lambda options: "-".join(options),
)
def test_options_of_the_step_control_mean_what_they_mean_there(options: dict[str, object]) -> None:
    compare("dopri5", times(0.0, 0.9, 1.3), Kick(), draw(3, 2), 1e-6, **options)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), span=st.floats(0.3, 3), digits=st.integers(3, 8))
def test_drawn_problems_take_the_same_steps(seed: int, span: float, digits: int) -> None:
    t = span * times(-0.1, 0.37, 1.0)
    compare("dopri5", t, Net(d=3, seed=seed), 2 * draw(2, 3, seed=seed), 10.0**-digits)


@pytest.mark.parametrize("method", FIXED)
@pytest.mark.parametrize("options", [{}, {"step_size": 0.05}, {"step_size": 0.1, "perturb": True}])
@pytest.mark.parametrize("t", [(0.0, 0.4, 0.9), (0.5, 0.1, -0.4)])
def test_fixed_steps_are_torchdiffeqs(method: str, options: dict[str, object], t: tuple[float, ...]) -> None:
    field, y0 = Net(), draw(3, 2)
    with torch.no_grad():
        expected = odeint(field, y0, times(*t), method=method, options=options)
    assert isinstance(expected, Tensor)
    assert gap([record(field, y0, times(*t), method=method, options=options).solution], [expected]) < 1e-12


def test_single_precision_takes_the_same_steps_to_its_round_off() -> None:
    field, y0 = Net().float(), draw(3, 2).float()
    collector, t = Collector(field), torch.tensor([0.0, 1.0])
    with torch.no_grad():
        odeint(collector, y0, t, rtol=1e-4, atol=1e-4, method="dopri5", options={"step_t": t[1:]})
    found = record(field, y0, t, rtol=1e-4, atol=1e-4)
    assert found.solution.dtype == torch.float32
    assert gap([times(*found.sizes)], [times(*(size for _, size in collector.steps))]) < 1e-2


def test_checkpoints_are_at_most_three_roots_of_the_steps() -> None:
    for step in (0.2, 0.05, 0.01, 0.004):
        found = record(Net(), draw(1, 2), times(0.0, 2.0), method="euler", options={"step_size": step}, checkpoint=True)
        root = len(found.sizes) ** 0.5
        assert len(found.kept) <= 3 * root + 2
        assert found.stride is not None
        assert found.stride <= 3 * root
        assert not found.slopes


def test_a_time_that_is_no_grid_point_is_refused() -> None:
    with pytest.raises(ValueError, match="no grid point"):
        record(Net(), draw(1, 2), times(0.0, 0.25, 1.0), method="rk4", options={"step_size": 0.1})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "dopri6"}, ValueError, "unknown method"),
        ({"options": {"step_size": 0.1}}, ValueError, "no options"),
        ({"t": times(0.0, 1.0, 0.5)}, ValueError, "strictly"),
        ({"y0": (draw(2),)}, TypeError, "one floating-point tensor"),
        ({"options": {"max_num_steps": 2}}, RuntimeError, "max_num_steps"),
        ({"method": "adaptive_heun", "options": {"jump_t": times(0.5)}}, ValueError, "jump_t"),
        ({"field": lambda t, y: y[:1]}, ValueError, "shape"),
        ({"field": lambda t, y: y / 0 * 0}, FloatingPointError, "underflows"),
    ],
)
def test_what_cannot_be_done_is_refused(change: dict[str, object], error: type[Exception], message: str) -> None:
    given_ = {"field": Net(), "y0": draw(2, 2), "t": times(0.0, 1.0), "method": "dopri5", **change}
    with pytest.raises(error, match=message):
        record(given_.pop("field"), given_.pop("y0"), given_.pop("t"), **given_)  # type: ignore[arg-type]


def test_a_trajectory_cannot_be_changed() -> None:
    found = record(Net(), draw(1, 2), times(0.0, 1.0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.sizes = []  # type: ignore[misc]
