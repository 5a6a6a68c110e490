"""The smallest task, short: what the tests of training train."""

from __future__ import annotations

from dataclasses import asdict, replace

from odecheck import tasks
from odecheck.training.loop import Trial
from odecheck.training.rows import MEASURED

SPHERES = tasks.find("spheres")


SHORT = replace(SPHERES.setting(), epochs=6, evaluate_every=2)


DATA = SPHERES.load(None, SHORT)


def trial(model="NODE", optimizer="adam", seed=0, rate=None, setting=SHORT, task=SPHERES):
    return Trial(task, setting, model, optimizer, seed, rate)


def numbers(rows):
    """The rows without times and memory."""
    return [{k: repr(v) for k, v in asdict(row).items() if k not in MEASURED} for row in rows]
