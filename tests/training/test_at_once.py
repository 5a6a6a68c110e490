"""Trainings at once: the numbers of one after another, from processes here and from somebody's executor."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd
import pytest

from odecheck.errors import BadInput
from odecheck.tasks.spheres import Spheres
from odecheck.training.at_once import Crew
from odecheck.training.rows import MEASURED, Unit
from odecheck.training.runs import run, trials
from tests.training.spheres import DATA, SHORT, SPHERES, numbers, trial

TODO = trials(SPHERES, SHORT, ["NODE", "HBNODE"], ["adam"], [0])


@dataclass(frozen=True)
class Ends(Spheres):
    """A task whose model ends its process."""

    def build(self, model, setting, data):
        os._exit(3)


def test_processes_and_an_executor_give_the_same_rows(tmp_path) -> None:
    alone = list(run(TODO, DATA, tmp_path / "alone"))
    several = list(run(TODO, DATA, tmp_path / "several", crew=Crew(workers=2)))
    # begun here, and done there from its beginning
    begun = run(TODO, DATA, tmp_path / "there", every=0.0)
    assert len(list(islice(begun, 3))) == 3
    begun.close()
    with ThreadPoolExecutor(2) as executor:
        there = list(run(TODO, DATA, tmp_path / "there", resume=True, crew=Crew(executor=executor)))
        again = list(run(TODO, DATA, tmp_path / "there", resume=True, crew=Crew(executor=executor)))
    key = repr
    assert sorted(map(key, numbers(alone))) == sorted(map(key, numbers(several))) == sorted(map(key, numbers(there)))
    assert sorted(map(key, numbers(again))) == sorted(map(key, numbers(there)))
    tables = [
        pd.read_parquet(tmp_path / name / "training.parquet").drop(columns=[*MEASURED])
        for name in ("alone", "several", "there")
    ]
    assert tables[0].equals(tables[1]) and tables[0].equals(tables[2]) and len(tables[0]) == len(alone)
    # a training that came back can be gone on with as one that was made here
    for name in ("alone", "there"):
        state = Unit(tmp_path / name / "units" / TODO[0].name).checkpoint(TODO[0].name)
        assert state is not None and state["step"] == SHORT.epochs * -(-len(DATA.train[0]) // SHORT.batch)
    assert not list((tmp_path / "there").glob("*.coming"))


@pytest.mark.parametrize("cluster", [False, True])
def test_a_training_whose_process_dies_is_said_and_the_others_are_kept(cluster: bool, tmp_path: Path) -> None:
    ends = trial("HBNODE", task=ending(SPHERES))
    with ThreadPoolExecutor(1) as executor:
        crew = Crew(executor=executor) if cluster else Crew(workers=2)
        with pytest.raises(BadInput, match=r"HBNODE-adam-.*left with status 3"):
            list(run([trial(), ends], DATA, tmp_path, crew=crew))
    kept = [path.name for path in (tmp_path / "units").glob("*") if Unit(path).ended]
    assert kept in ([trial().name], []) and (not cluster or kept)


def ending(task) -> Ends:
    return Ends(**{name: getattr(task, name) for name in task.__dataclass_fields__})
