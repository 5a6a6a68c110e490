"""Which recursion runs on a segment, where it meets the observations, and what its shapes are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from odecheck.discrete import CoupledRows, Trajectory, record
from odecheck.discrete.linearised import Linearised, gradient_unrolls, unrolls, work_of
from odecheck.discrete.recursion import Blocks
from odecheck.discrete.sweep import Sweep
from odecheck.discrete.trajectory import UNROLL_WORK
from tests.discrete.oracle import Net, Norm, draw, solve, times


def made(**how: object) -> Trajectory:
    return solve("rk4", Net(), draw(3, 2), times(0.0, 0.4, 1.0), **how)


@pytest.mark.parametrize(
    ("field", "how", "kind", "rows"),
    [
        (Net(), {}, Blocks, 3),
        (Net(), {"independent_rows": False}, Blocks, 1),
        (Norm(), {}, Blocks, 1),  # coupled rows are found out
        (Net(), {"route": "sweep"}, Sweep, None),
    ],
)
def test_blocks_are_as_small_as_the_rows_allow(field: nn.Module, how: dict, kind: type, rows: int | None) -> None:
    _, recursion = Linearised(solve("rk4", field, draw(3, 2), times(0.0, 1.0), **how))[0]
    assert type(recursion) is kind
    assert not isinstance(recursion, Blocks) or recursion.rows == rows


def test_coupled_rows_that_are_declared_independent_are_refused() -> None:
    with pytest.raises(CoupledRows, match="declared independent"):
        Linearised(solve("rk4", Norm(), draw(4, 2), times(0.0, 1.0), independent_rows=True))[0]


def test_the_work_of_a_stage_is_that_of_passes_over_all_rows() -> None:
    """Three rows of two numbers and 26 parameters: two passes in three blocks, six in one, 3 · (26 + 2) each."""
    trajectory = made()
    assert sum(p.numel() for p in trajectory.parameters.values()) == 26
    assert work_of(trajectory, 3) == 2 * 3 * 28
    assert work_of(trajectory, 1) == 6 * 3 * 28


def test_a_wide_field_is_unrolled_and_a_checkpointed_one_never() -> None:
    y0, t = draw(4, 64), times(0.0, 1.0)
    wide = record(Net(64, 256), y0, t, method="euler")
    assert work_of(wide, 4) > UNROLL_WORK > work_of(made(), 3)
    assert unrolls(wide) and not unrolls(made())
    assert wide.graph is not None and made().graph is None and not gradient_unrolls(made())
    assert unrolls(made(route="unrolled")) and not unrolls(made(route="unrolled", checkpoint=True))
    assert not unrolls(record(Net(64, 256), y0, t, method="euler", route="blocks"))


def test_jumps_come_at_the_steps_that_end_on_observations() -> None:
    """Steps of 0.1: the fourth and the tenth. Nothing jumps at the start, whose cotangent is added by the caller."""
    segments = Linearised(made())
    assert segments.outputs(0) == ([1, 2], [3, 9])
    jumps = segments.jumps(0, torch.arange(1.0, 4.0)[None, :, None])
    assert jumps.shape == (1, 10, 1)
    assert jumps.flatten().tolist() == [0, 0, 0, 2, 0, 0, 0, 0, 0, 3]


def test_a_single_segment_is_made_once_and_several_each_time() -> None:
    whole, parts = Linearised(made()), Linearised(made(checkpoint=True))
    assert whole[0] == whole[0] and whole[0][0] is whole[0][0]
    assert len(parts.bounds) > 1 and parts[0][0] is not parts[0][0]
    parts.hold(*(held := parts[1]))
    assert parts[0] == held
    parts.release()
    assert parts[0][0] is not held[0]
