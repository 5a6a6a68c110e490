"""What a training task says of itself, and what it refuses."""

from __future__ import annotations

import pytest

from odecheck import tasks
from odecheck.errors import BadInput


@pytest.mark.parametrize("name", sorted(tasks.every()))
def test_a_task_says_where_it_comes_from_and_what_it_needs(name) -> None:
    task = tasks.find(name)
    assert task.name == name and task.summary and task.source and task.models
    assert len({s.name for s in task.settings}) == len(task.settings)
    assert all(set(s.size) == set(task.models) for s in task.settings)
    assert bool(task.data) == any(s.needs_data for s in task.settings)


def test_a_setting_is_found_by_its_name_and_another_refused() -> None:
    task = tasks.find("spheres")
    assert task.setting() is task.settings[0]
    assert all(task.setting(one.name) is one for one in task.settings)
    with pytest.raises(BadInput, match="task spheres has no setting 'large'"):
        task.setting("large")


def test_a_setting_solves_as_accurately_as_it_says() -> None:
    setting = tasks.find("spheres").setting()
    assert (setting.solver.rtol, setting.solver.atol) == (setting.tolerance, setting.tolerance)
