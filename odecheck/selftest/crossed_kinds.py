"""The tables of wrong subjects beside the claims that have to see them: `odecheck selftest --part kinds` judges all.

Sizes begin far above what the claim would see on its right subject, and end a little above it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from odecheck_reference import Problem

from odecheck.claim import Mutant
from odecheck.problem_sets import conformance as posed
from odecheck.subject import Subject

from . import crossed as of
from . import crossed_solves as solves
from . import kinds
from .kinds import ADAPTIVE, OWN, SHORT_STEPS, STEPS, WATCHFUL, Kind

FAR = {name: of.PLACES[name] for name in ("everywhere", "where a state is beyond 2", "in the first component")}
SMOOTH = {"everywhere": of.PARTS_OF_THE_WAY["everywhere"]}


def _kind(
    family: str,
    claim: str,
    subject: Subject,
    mutants: tuple[Mutant, ...],
    problem: Callable[[], Problem] = posed.network,
) -> Kind:
    return Kind(family, (claim,), subject, problem, mutants=mutants)


CROSSED: tuple[Kind, ...] = (
    _kind(kinds.NARROW, "SOL-2", WATCHFUL, solves.long_steps((None, 1.0)), kinds.narrow),
    _kind(kinds.NARROW, "SOL-2", WATCHFUL, solves.blurred_times((4, 16, 64)), kinds.narrow),
    _kind(kinds.VALUES, "SOL-1.2", STEPS, of.derivatives((1.0, 1e-2, 1e-4))),
    _kind(kinds.VALUES, "SOL-1.5", STEPS, of.derivatives((1.0, 1e-2, 1e-4), SMOOTH)),
    _kind(kinds.VALUES, "SOL-1.4", STEPS, of.second_derivatives((1.0, 0.1, 1e-2))),
    _kind(kinds.MEMORY, "SOL-1.3", STEPS, of.memories((1e-2, 1e-4, 1e-6))),
    _kind(kinds.MEMORY, "SOL-9", STEPS, of.noises((1e-3, 1e-6, 1e-9))),
    _kind(kinds.SIZES, "SOL-1.6", STEPS, of.values((1e-2, 1e-4, 1e-6, 1e-8))),
    _kind(kinds.SIZES, "SOL-21", SHORT_STEPS, of.values((0.1, 1e-2), FAR)),
    _kind(kinds.OUTPUTS, "SOL-19", SHORT_STEPS, of.states((0.1, 1e-2, 2e-3))),
    _kind(kinds.OUTPUTS, "SOL-19", SHORT_STEPS, solves.rounded_times((16, 32, 64, 100, 128))),
    _kind(kinds.OUTPUTS, "DER-18", OWN, of.times(of.FACTORS)),
    _kind(kinds.OUTPUTS, "DER-19", OWN, of.seen_outputs((0.0, 0.9, 1.01))),
    _kind(kinds.OUTPUTS, "SOL-20", STEPS, solves.intervals((0.1, 1e-2, 1e-3))),
    _kind(kinds.TIMES, "DER-2", OWN, of.times(of.FACTORS, of.ENDS)),
    _kind(kinds.TIMES, "DER-6", OWN, of.times(of.FACTORS, of.ENDS)),
    _kind(kinds.TIMES, "SOL-14", STEPS, solves.intervals((0.1, 1e-2, 1e-3, 1e-4), solves.DECREASING)),
    _kind(kinds.TYPES, "SOL-15", STEPS, solves.states_in_float32((0.1, 1e-2, 1e-3))),
    _kind(kinds.TYPES, "DER-14", STEPS, solves.starts((0.0, 0.9, 1.01, 1.001), float32=True)),
    _kind(kinds.TYPES, "DER-14", STEPS, solves.parameters(("",), (0.0, 0.9, 1.01, 1.001))),
    _kind(kinds.TYPES, "DER-23", OWN, of.times((*of.FACTORS, 1.001), of.ENDS, torch.float32)),
    _kind(kinds.SHAPES, "SOL-8", STEPS, of.mixed_rows((1e-2, 1e-3, 1e-4)), posed.linear),
    _kind(kinds.SHAPES, "SOL-16", STEPS, solves.formed(solves.TUPLES, (0.1, 1e-2, 1e-3))),
    _kind(kinds.SHAPES, "SOL-17", STEPS, solves.formed(solves.COMPLEX, (0.1, 1e-2, 1e-3))),
    _kind(kinds.SHAPES, "DER-15", STEPS, solves.formed(solves.TUPLES, (-1.0, 0.1, 1e-3), lies=True)),
    _kind(kinds.SHAPES, "DER-16", STEPS, solves.formed(solves.COMPLEX, (-1.0, 0.1, 1e-3), lies=True)),
    _kind(kinds.STARTS, "DER-24", STEPS, solves.parameters(("begin", "length"), (*of.FACTORS, 0.999))),
    _kind(kinds.STARTS, "DER-25", STEPS, solves.starts((*of.FACTORS, 0.999))),
    _kind(kinds.VERY_STEPS, "STEP-1", STEPS, solves.entries((1e-2, 1e-4, 1e-6))),
    _kind(kinds.VERY_STEPS, "STEP-2", STEPS, solves.entries((0.1, 1e-2, 1e-3))),
    _kind(kinds.VERY_STEPS, "STEP-3", STEPS, solves.orders((1, 2, 3), (1.0, 0.1))),
    _kind(kinds.VERY_STEPS, "SOL-3", STEPS, solves.orders((1, 2), (1.0, 0.1))),
    _kind(kinds.VERY_STEPS, "STEP-4", ADAPTIVE, solves.orders((1, 2, 3), (1.0, 0.1)), posed.linear),
    _kind(
        kinds.TOLERANCES,
        "STEP-6",
        ADAPTIVE,
        solves.tolerances(((1e-4, 0.0), (1e-6, 0.0), (1.0, 0.5), (1.0, 0.7), (100.0, 1.5))),
        posed.linear,
    ),
    _kind(kinds.TOLERANCES, "STEP-5", ADAPTIVE, solves.tolerances(((10.0, 1.0), (30.0, 1.0), (100.0, 1.0)))),
    _kind(kinds.ERRATIC, "SOL-2", OWN, solves.erratic((1e-5, 1e-6, 1e-7), (0.5, 0.1, 1e-2))),
    _kind(kinds.ERRATIC, "NODE-1", OWN, solves.erratic((1e-5, 1e-6, 1e-7), (0.5, 0.1))),
    _kind(kinds.ERRATIC, "NODE-2", OWN, solves.erratic((1e-5, 1e-6, 1e-7), (0.5, 0.1))),
)
