"""odecheck imported anew with one mistake in it: in effect there, and unknown here."""

from __future__ import annotations

import importlib

import pytest
import torch

from odecheck.fields import HBNODE
from odecheck.runner.pool import Job, in_processes
from odecheck.selftest import loading, source

SCALED = "fields.heavy_ball.HBNODE.forward: self.sign * m -> _odecheck_scaled(self.sign * m)"


def rate(fields) -> list[float]:
    """What a heavy ball's field gives at a made-up state."""
    torch.manual_seed(0)
    field = fields.HBNODE(fields.Autonomous(torch.nn.Linear(2, 2))).double()
    return field(torch.tensor(0.0), torch.tensor([[0.5, -0.75, 1.0, 2.0]], dtype=torch.float64))[0].tolist()


def loaded(mutant: source.SourceMutant | None) -> tuple[list[float], set[str]]:
    """In a forked process: the field of the package that is imported anew."""
    loading.load(mutant)
    return rate(importlib.import_module("odecheck.fields")), set(loading.MET)


def test_a_mistake_is_in_effect_in_the_process_that_loads_it_alone():
    (mutant,) = (m for m in source.mutants("odecheck.fields.heavy_ball") if m.key == SCALED)
    jobs = [Job("wrong", loaded, (mutant,)), Job("right", loaded, (None,))]
    found = dict(in_processes(jobs, 1, start="fork"))
    wrong, met = found["wrong"]
    right, nobody = found["right"]
    here = rate(importlib.import_module("odecheck.fields"))
    assert (met, nobody) == ({source.SCALED}, set())
    assert right == here and wrong != here
    assert wrong == pytest.approx(here, rel=2 * (source.SCALE - 1))
    assert importlib.import_module("odecheck.fields").HBNODE is HBNODE


def test_a_helper_that_meets_no_tensor_is_not_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loading, "MET", set())
    helper = loading._helpers()[source.ROUND]
    assert helper(3) == 3 and not loading.MET
    assert helper(torch.tensor(1 + 1e-12, dtype=torch.float64)) == 1.0
    assert {source.ROUND} == loading.MET
