"""A field that bends again and again is seen before it is solved, and judged to what can be seen there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from odecheck import Verdict, module_pairs
from odecheck.claims import ALL
from odecheck.judge import BENT, OF_BENDS
from odecheck.mutants.derivatives import FORGOTTEN_OBSERVATION, FROZEN_TIME, scaled
from odecheck.runner.at_sight import remembered
from odecheck.runner.case import Unit

CLAIMS = {claim.id: claim for claim in ALL if claim.id in ("SOL-2", "NODE-1", "NODE-2", "NODE-3")}


class Field(nn.Module):
    def __init__(self, activation: nn.Module, wide: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, wide), activation, nn.Linear(wide, 8))

    def forward(self, t, y):
        return 2 * torch.cos(3 * t) * self.net(y)


def pairs(activation: nn.Module, wide: int = 96, rows: int = 16):
    torch.manual_seed(0)
    return module_pairs(Field(activation, wide), torch.randn(rows, 8))


@pytest.fixture(scope="module")
def bent():
    return pairs(nn.ReLU())


def test_it_is_seen_and_solved_by_steps_that_can_be_afforded(bent):
    (of_steps, problem), (of_adjoint, _) = bent
    assert remembered(problem).bent
    assert "dopri5(rtol=1e-06)" in of_steps.name and "rk4(step=0.015625)" in of_adjoint.name
    (smooth, problem), _ = pairs(nn.Softplus())
    assert not remembered(problem).bent and "rtol=1e-08" in smooth.name


def test_right_subjects_hold_and_tell_what_could_hide(bent):
    for subject, problem in bent:
        records = list(Unit(subject, problem, tuple(CLAIMS.values())).run(validate=False))
        assert len(records) == len(CLAIMS) and any(record.resolution == OF_BENDS for record in records)
        for record in records:
            assert record.verdict is Verdict.HOLDS, str(record)
            assert record.resolved <= record.resolution
            if record.resolution > CLAIMS[record.claim].resolution:
                assert record.resolution == OF_BENDS and record.message.endswith(BENT)
            assert record.looked_at < 0.02


def test_a_few_bends_are_ended_at_and_solvers_step_over_them_all_the_same():
    (subject, problem), _ = pairs(nn.ReLU(), wide=16, rows=4)
    assert not remembered(problem).bent
    (record,) = Unit(subject, problem, (CLAIMS["NODE-2"],)).run(validate=False)
    assert record.verdict is Verdict.HOLDS and record.resolution == OF_BENDS and record.message.endswith(BENT)
    assert CLAIMS["NODE-2"].resolution < record.resolved < OF_BENDS


@pytest.mark.parametrize(
    ("id", "mutant"),
    [
        ("SOL-2", FROZEN_TIME),
        ("NODE-1", scaled("y0", -1.0)),
        ("NODE-1", FORGOTTEN_OBSERVATION),
        ("NODE-2", scaled("theta", 1.2)),
        ("NODE-3", scaled("ts", 1.2)),
    ],
    ids=lambda one: getattr(one, "name", one),
)
def test_wrong_ones_are_refuted(id, mutant, bent):
    (subject, problem), _ = bent
    (record,) = Unit(mutant(subject), problem, (CLAIMS[id],)).run(validate=False)
    assert record.verdict is Verdict.REFUTED
