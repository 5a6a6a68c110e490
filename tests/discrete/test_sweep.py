"""Stage after stage is the same linear recursion as all steps at once."""

from __future__ import annotations

import pytest
import torch

from odecheck.discrete.linearised import Linearised
from odecheck.discrete.recursion import Blocks
from odecheck.discrete.sweep import Sweep
from tests.discrete.oracle import ROUND_OFF, Net, draw, gap, solve, times


def both(method: str) -> tuple[Linearised, Blocks, Sweep]:
    field, y0, t = Net(), draw(3, 2), times(0.0, 0.4, 1.0)
    segments = Linearised(solve(method, field, y0, t))
    _, blocks = segments[0]
    _, sweep = Linearised(solve(method, field, y0, t, route="sweep"))[0]
    assert isinstance(blocks, Blocks) and isinstance(sweep, Sweep)
    return segments, blocks, sweep


@pytest.mark.parametrize("method", ["dopri5", "rk4", "adaptive_heun"])
@pytest.mark.parametrize("forced", [False, True])
def test_tangents_and_adjoints_are_those_of_the_blocks(method: str, forced: bool) -> None:
    segments, blocks, sweep = both(method)
    x, jumps = segments.start(draw(2, 6)), draw(2, blocks.n, 6, seed=1)
    source = draw(2, blocks.n, blocks.s, 6, seed=2) if forced else None
    assert gap(list(sweep.tangent(x, source)), list(blocks.tangent(x, source))) < ROUND_OFF
    assert gap(list(sweep.adjoint(x, jumps, source)), list(blocks.adjoint(x, jumps, source))) < ROUND_OFF


def test_a_push_is_the_transpose_of_a_pull() -> None:
    _, _, sweep = both("rk4")
    u, v = draw(1, 3, 2), draw(1, 3, 2, seed=1)
    left, right = (sweep.push(2, u) * v).sum(), (u * sweep.pull(2, v)).sum()
    torch.testing.assert_close(left, right, rtol=ROUND_OFF, atol=0)
    assert abs(float(left)) > 1e-3
