"""A bar goes by cost where that is known, and is there on terminals and in notebooks alone."""

from __future__ import annotations

import pytest

from odecheck import check, problems, subjects
from odecheck.runner import progress
from odecheck.runner.progress import Progress, in_notebook
from tests.report_runs import FAILED, HELD


def test_it_goes_by_cost():
    bar = Progress(2, costs={HELD.key: 1.0, FAILED.key: 9.0})
    bar(FAILED)
    task = bar.bar.tasks[0]
    assert (task.completed, task.total, task.fields["count"]) == (9.0, 10.0, "1/2")
    bar(HELD)
    assert task.finished


def test_it_goes_by_number_where_nothing_is_known():
    bar = Progress(3)
    bar(HELD)
    bar.step("another", 2)
    assert bar.bar.tasks[0].finished


def test_it_is_silent_where_nobody_looks(capsys):
    with Progress(1) as bar:
        bar(HELD)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("asked", "shown"), [(None, True), (True, True), (False, False)])
def test_in_a_notebook_there_is_one_by_default(monkeypatch, asked, shown):
    seen: list[int] = []
    monkeypatch.setattr("odecheck.runner.run.in_notebook", lambda: True)
    monkeypatch.setattr(progress.Progress, "__enter__", lambda self: seen.append(self.of) or self)
    check(subjects()[0], problems()[0], "SOL-1", progress=asked)
    assert seen == [1] * shown


def test_this_is_no_notebook():
    assert not in_notebook()
