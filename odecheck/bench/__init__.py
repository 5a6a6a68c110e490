"""Benchmarks across commits: asv's suite run over a range, what changed in its results, and paired times."""

from .changes import Change, changes, exit_status
from .pairs import Pairs, PairServer, calibrate, paired
from .results import Point, Series, read_series
from .run import Done, read_done, run_commit, run_commits
from .suite import Suite

__all__ = [
    "Change",
    "Done",
    "PairServer",
    "Pairs",
    "Point",
    "Series",
    "Suite",
    "calibrate",
    "changes",
    "exit_status",
    "paired",
    "read_done",
    "read_series",
    "run_commit",
    "run_commits",
]
