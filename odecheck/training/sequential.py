"""Trainings until the comparisons of a design are decided: which are needed next, and when it is enough."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from odecheck.errors import BadInput
from odecheck.ledger.benchmark_claims import CLAIMS, BenchmarkClaim
from odecheck.ledger.design import FEWEST, Design, looks_of
from odecheck.ledger.training_claims import TUNING, ended, judge_rows

from .at_once import ALONE, Crew
from .loop import EVERY, Trial
from .rows import Row, Unit, read
from .runs import run, trials
from .task import Data, Setting, Task


def design_for(
    models: Sequence[str], optimizers: Sequence[str], rates: Sequence[float], seeds: Sequence[int], looks: Sequence[int]
) -> Design:
    """The design of a run that compares these models.

    Args:
        models: those to be trained.
        optimizers: one.
        rates: one, or none for the setting's.
        seeds: in the order in which they are trained.
        looks: numbers of pairs at which is looked; none: some that grow by half, up to all seeds.

    Returns:
        With every claim that compares some of the models, those of fewer models first: they are decided more cheaply.

    Raises:
        BadInput: several optimizers or rates, or models that no claim compares; and as `Design`.
    """
    claims = [one for one in CLAIMS if one.kind == "model" and _trained(one, models)]
    if len(optimizers) != 1 or len(rates) > 1 or not claims:
        raise BadInput(
            f"--sequential compares models, and there are {', '.join(models)} with {', '.join(optimizers)}",
            "several optimizers or rates, or models that no claim compares",
            "odecheck train spheres --sequential --seeds 18",
        )
    if not all(seed < TUNING for seed in seeds):
        raise BadInput(
            f"--sequential has the seed {max(seeds)}", f"seeds of {TUNING} and more judge nothing", "--seeds 10-27"
        )
    claims.sort(key=lambda one: len({*one.subjects, *one.rivals} & set(models)))
    return _design_of(claims, seeds, tuple(looks) or looks_of(len(seeds)))


def design_of_tuning(optimizers: Sequence[str], seeds: Sequence[int]) -> Design | None:
    """The design of a run that compares optimizers, each at its best knobs: one look, when all seeds are trained.

    They are compared at equal CPU time, which no repetition gives again: so there is no look before the end.

    Args:
        optimizers: those to be trained.
        seeds: those that judge.

    Returns:
        None where no claim compares them, or there are fewer seeds than anything can be said by.
    """
    claims = [one for one in CLAIMS if one.kind == "optimizer" and _trained(one, optimizers)]
    if not claims or len(seeds) < FEWEST:
        return None
    return _design_of(claims, seeds, (len(seeds),))


def _design_of(claims: Sequence[BenchmarkClaim], seeds: Sequence[int], looks: tuple[int, ...]) -> Design:
    alike = {f"{one.id}: {name}": one.alike.get(name, 1.0) for one in claims for name in one.quantities}
    return Design(tuple(one.id for one in claims), tuple(seeds), looks, alike)


def _trained(claim: BenchmarkClaim, models: Sequence[str]) -> bool:
    return bool(set(claim.subjects) & set(models)) and bool(set(claim.rivals) & set(models))


def run_design(
    task: Task,
    setting: Setting,
    models: Sequence[str],
    optimizer: str,
    rates: Sequence[float],
    design: Design,
    data: Data,
    folder: Path,
    *,
    resume: bool = False,
    device: str = "cpu",
    every: float = EVERY,
    most: float = math.inf,
    crew: Crew = ALONE,
) -> Iterator[Row]:
    """Train seed by seed, look as the design says, and go on with the models of which a comparison is undecided.

    What is trained is a function of the rows up to the looks that were made, so that a run that was interrupted goes on
    to the verdicts that it would have had.

    Args:
        task: what is trained.
        setting: one of the task's.
        models: names that the task knows.
        optimizer: of all of them.
        rates: one learning rate, or none for the setting's.
        design: fixed before; run.json has it from the beginning, and refuses another one.
        data: the task's rows at the setting.
        folder: of the run.
        resume: whether to go on with the run that the folder holds.
        device: torch's name of the device that computes.
        every: seconds of training between two checkpoints.
        most: CPU seconds of all trainings together, after which the run is interrupted.
        crew: who trains.

    Yields:
        The rows, as they come; of a run that goes on, those of its last training too.

    Raises:
        BadInput: as `run`, also for a folder of another design and a run that has taken `most`.
    """
    begun, fixed = resume, {"design": design.facts()}

    def go(todo: Sequence[Trial]) -> Iterator[Row]:
        nonlocal begun
        left = [one for one in todo if not _has(folder, one)] if begun else todo
        # the first one again where all have ended: run.json is asked whether this is the same run
        how: Any = {"device": device, "every": every, "fixed": fixed, "most": most, "crew": crew}
        yield from run(left or todo[:1], data, folder, resume=begun, **how)
        begun = True

    for claim in design.claims:
        for before, look in pairwise((0, *design.looks)):
            wanted = [one for one in models if one in undecided(claim, models, folder, design, before)]
            if not wanted:
                break
            yield from go(trials(task, setting, wanted, [optimizer], design.seeds[before:look], rates))


def _has(folder: Path, trial: Trial) -> bool:
    return Unit(folder / "units" / trial.name).ended


def undecided(claim: str, models: Sequence[str], folder: Path, design: Design, looked: int) -> set[str]:
    """The models that a claim still needs: those of its comparisons that no look so far has decided.

    Args:
        claim: its id.
        models: those of the run.
        folder: of the run.
        design: of the run.
        looked: seeds of the last look; of later ones nothing is seen.
    """
    (asked,) = (one for one in CLAIMS if one.id == claim)
    if not looked:
        return {*asked.subjects, *asked.rivals} & set(models)
    rows = read(folder)
    rows = rows[rows["seed"].isin(design.seeds[:looked])]
    facts = {"cases": {"design": design.facts(), "setting": {}}}
    found = [one for one in judge_rows(rows, facts) if one.claim == claim and not ended(one)]
    pairs = [{one.subject, one.rival} for one in found]
    return {name for pair in pairs if pair <= set(models) for name in pair}
