"""Whose cost is measured when nobody brings a subject: every engine, with settings of its library's own."""

from __future__ import annotations

from odecheck.cost import presets
from odecheck.engines.found import libraries


def test_every_declared_engine_is_measured_once():
    engines = [subject.engine.name for subject in presets.subjects()]
    assert len(set(engines)) == len(engines)
    assert set(engines) == {one.engine.name for library in libraries() for one in library.engines}
    assert {subject.solver.rtol for subject in presets.subjects()} == {presets.RTOL}


def test_settings_land_where_the_library_can_and_name_methods_that_it_has():
    by_engine = {one.engine.name: library for library in libraries() for one in library.engines}
    for subject in presets.settings():
        library = by_engine[subject.engine.name]
        assert subject.solver.land is library.lands
        assert subject.solver.method in library.adaptive.METHODS
    assert len(presets.settings()) == sum(len(one.settings) for library in libraries() for one in library.engines)


def test_problems_are_four_and_have_no_integral_in_their_loss():
    assert {problem.name for problem in presets.problems()} == set(presets.NAMES)
    assert all(problem.running is None for problem in presets.problems())


def test_what_is_not_installed_is_missing(monkeypatch):
    gone = {library.name for library in libraries() if not library.installed}
    assert set(presets.missing()) == gone
    monkeypatch.setattr("odecheck.engines.library.version", lambda name: "1")
    assert presets.missing() == ()
