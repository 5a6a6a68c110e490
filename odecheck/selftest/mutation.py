"""The mutation score: which claims refute which mutants, and which mutants survive.

Each source mutant is judged in a process of its own, forked with the reference's answers in memory: it loads odecheck
with the one change. Mutants are drawn from those whose line the battery executes; the others are counted, because what
no case executes no claim can judge.
"""

from __future__ import annotations

import importlib
import math
import pickle
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from odecheck_reference import Problem

from odecheck.claims import ALL
from odecheck.records.commit import own_text
from odecheck.runner.limits import Limits
from odecheck.runner.pool import Failure, Job, in_processes

from . import battery, loading, operators, rooms, source
from .battery import Case, KeptRuns, Outcome
from .journal import Journal, Row

REFUTED, SURVIVED, ERROR, HUNG, UNDECIDED, VOID = "refuted", "survived", "error", "hung", "undecided", "void"
GRACE = 20.0
SLOWER = 6.0
PATIENCE = 40  # seconds on the clock for each of the processor, on a machine that others use too


def _job(key: str, cpu: float, work: Callable[..., Any], *arguments: Any) -> Job:
    """A job for a forked process, that ends after `cpu` seconds of processor time, or of waiting instead of working."""
    return Job(key, work, arguments, Limits(seconds=PATIENCE * (int(cpu) + 1), cpu=cpu))


@dataclass(frozen=True)
class Baseline:
    """The right source: outcome of every case, the lines that it executed, and the sound cases."""

    right: dict[str, Outcome]
    lines: dict[str, set[tuple[str, int]]]
    sound: set[str]

    def reached(self, mutant: source.SourceMutant) -> list[str]:
        """The sound cases that execute a mutant's line."""
        place = mutant.file, mutant.line
        return [key for key in self.right if key in self.sound and place in self.lines[key]]

    def rooms(self) -> list[str]:
        """The rooms that are mutated: those that some case executes, and that do not judge."""
        return rooms.executed({file for lines in self.lines.values() for file, _ in lines})


@dataclass
class Verdicts:
    """What the cases said of one mutant."""

    killers: list[str] = field(default_factory=list[str])
    holds: list[str] = field(default_factory=list[str])
    undecided: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])

    def add(self, right: Outcome, wrong: Outcome) -> None:
        """Count the outcome of one case of the mutant, beside that of the right source."""
        if battery.killed(wrong):
            where = self.killers
        elif wrong.verdict == right.verdict:
            where = self.holds
        else:
            where = self.errors if wrong.verdict == "error" else self.undecided
        if wrong.claim not in where:
            where.append(wrong.claim)

    @property
    def status(self) -> str:
        """Refuted, if one claim refutes it. An error ends a program and hides nothing, but is no refutation."""
        if self.killers:
            return REFUTED
        if self.errors:
            return ERROR
        return UNDECIDED if self.undecided else SURVIVED


def row(name: str, family: str, part: str, found: Verdicts, status: str = "", message: str = "") -> Row:
    """One mutant as a flat row."""
    return {
        "mutant": name,
        "family": family,
        "part": part,
        "status": status or found.status,
        "killers": ",".join(found.killers),
        "holds": ",".join(found.holds),
        "undecided": ",".join(found.undecided),
        "errors": ",".join(found.errors),
        "message": message,
    }


# --- the right source --------------------------------------------------------------------------------------------


def _measured(number: int, problems: dict[str, Problem]) -> tuple[Baseline, KeptRuns]:
    """In a forked process: judge the cases of one unit, see which lines each executes and what it costs."""
    kept = KeptRuns()
    kept.install()
    files = {str(source.path_of(module)) for module in source.modules()}
    base = Baseline({}, {}, set())
    for case in battery.units(problems)[number]:
        seen: set[tuple[str, int]] = set()

        def local(frame: Any, event: str, _arg: Any, seen: set[tuple[str, int]] = seen) -> Any:
            seen.add((frame.f_code.co_filename, frame.f_lineno))
            return local

        def trace(frame: Any, _event: str, _arg: Any, local: Any = local) -> Any:
            return local if frame.f_code.co_filename in files else None

        sys.settrace(trace)
        try:
            base.right[case.key] = battery.outcome(case)
        finally:
            sys.settrace(None)
        base.lines[case.key] = seen
        if battery.sound(case, base.right[case.key]):
            base.sound.add(case.key)
    return base, kept


def baseline(
    problems: dict[str, Problem], folder: Path, *, workers: int = 1, progress: Callable[[str], None] | None = None
) -> tuple[Baseline, KeptRuns]:
    """Outcomes, lines and reference runs of the right source, by units in processes of their own, kept in a folder.

    torch's automatic differentiation, once used, does not survive a fork: this process never uses it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {str(n): folder / f"{own_text()}-{n}.pickle" for n in range(len(battery.units(problems)))}
    jobs = [_job(n, 3600.0, _measured, int(n), problems) for n, file in files.items() if not file.exists()]
    for n, result in in_processes(jobs, workers, start="fork"):
        if isinstance(result, Failure):
            said = f"the battery on the right source ended without an answer: {result.message}"
            raise RuntimeError(f"{said}\n{result.trace}") from result.error
        files[n].write_bytes(pickle.dumps(result))
        if progress:
            progress(f"the right source, {n}")
    whole, kept = Baseline({}, {}, set()), KeptRuns()
    for file in files.values():
        base, runs = pickle.loads(file.read_bytes())
        whole.right.update(base.right)
        whole.lines.update(base.lines)
        whole.sound.update(base.sound)
        kept.update(runs)
    return whole, kept


# --- source mutants ----------------------------------------------------------------------------------------------


def drawn(seed: int, base: Baseline, count: int) -> tuple[list[source.SourceMutant], int, dict[str, int]]:
    """`count` mutants on lines that the battery executes; how many there are; how many are not, by module.

    Modules come in turn, and of each the family of which the fewest were drawn so far: every module and every family
    is drawn from, however large the others are.
    """
    everything = [mutant for module in source.modules(base.rooms()) for mutant in source.mutants(module)]
    reached: dict[str, list[source.SourceMutant]] = {}
    unreached: Counter[str] = Counter()
    for mutant in everything:
        if base.reached(mutant):
            reached.setdefault(mutant.module, []).append(mutant)
        else:
            unreached[mutant.module] += 1
    rng = random.Random(seed)
    for group in reached.values():
        rng.shuffle(group)
    many = sum(len(group) for group in reached.values())
    taken: list[source.SourceMutant] = []
    families = Counter(dict.fromkeys((*source.FAMILIES, source.STALE), 0))
    while len(taken) < min(count, many):
        for group in reached.values():
            if group and len(taken) < count:
                one = min(group, key=lambda mutant: families[mutant.family])
                group.remove(one)
                families[one.family] += 1
                taken.append(one)
    return taken, many, dict(unreached)


def judge_source(
    mutant: source.SourceMutant, keys: list[str], problems: dict[str, Problem], budget: float, right: dict[str, Outcome]
) -> list[Row]:
    """In a forked process: load odecheck with the change, and judge the cases that execute its line.

    Args:
        mutant: the change.
        keys: of the cases.
        problems: of the battery.
        budget: seconds of cases that are judged after the first refutation.
        right: the outcome of each case with the right source.

    Returns:
        One row.
    """
    loading.load(mutant)
    anew = importlib.import_module("odecheck.selftest.battery")
    these = [case for case in anew.cases(problems) if case.key in keys]
    found, message = Verdicts(), ""
    for one in anew.judged(these, right, None, budget=budget):
        found.add(right[one.case], one)
        message = message or (f"{one.claim}: {one.message}" if one.message else "")
    helper = {"scale 1 + 1e-6": source.SCALED, "float32": source.ROUND}.get(mutant.family)
    void = helper is not None and helper not in loading.MET
    return [row(mutant.key, mutant.family, mutant.module.split(".")[1], found, VOID if void else "", message[:300])]


# --- mutants of subjects -----------------------------------------------------------------------------------------

# the claims that ask for each part of an engine's answers
ASKED = {
    "solution": ("SOL", "NODE-4"),
    "last state": ("SOL", "NODE-4"),
    **dict.fromkeys(("y0", "theta", "start time", "interior times", "last time"), ("NODE",)),
    **dict.fromkeys(("q", "p"), ("SNOPT-4",)),
    **dict.fromkeys(("Q_T", "Q_TT", "Q_Ttheta"), ("SNOPT-10",)),
    **dict.fromkeys(("Q_xx", "Q_xtheta", "Q_thetatheta"), ("SNOPT-1",)),
    **dict.fromkeys(
        ("Gauss-Newton Q_xx", "Gauss-Newton Q_xtheta", "Gauss-Newton Q_thetatheta"), ("SNOPT-2", "SNOPT-3")
    ),
}


def _judge_part(part: str, problems: dict[str, Problem]) -> list[Row]:
    """In a forked process: every family of mistake in one part of the answers of both of odecheck's own engines."""
    rows: list[Row] = []
    # rows of a state that are mixed up need two of them
    posed = ("clocked", "on the grid") if part in ("solution", "last state", "y0") else ("clocked",)
    for subject in (battery.DISCRETE, battery.CLOSED):
        kept = operators.kept(subject)
        cases = [
            Case(claim, kept, problems[name]) for name in posed for claim in ALL if battery.among(claim.id, ASKED[part])
        ]
        right = {case.key: battery.outcome(case) for case in cases}
        cases = [case for case in cases if battery.sound(case, right[case.key])]
        if not cases:
            continue
        for other, family, change in operators.mutants():
            if other == part:
                name = f"{subject.engine.name}: {part}, {family}"
                rows.append(_judge_subject(name, family, part, change, cases, right, budget=math.inf))
    return rows


def _judge_named(name: str, problems: dict[str, Problem], base: Baseline, budget: float) -> list[Row]:
    """In a forked process: a mutant that claims name, judged by all cases on the steps' engine; those claims first."""
    mutant = operators.of_claims()[name]
    naming = {claim.id for claim in battery.CLAIMS if any(m.name == name for m in claim.mutants)}
    cases = [case for case in battery.cases(problems) if case.key in base.sound]
    # on both engines for claims that the steps' engine has no answer to
    near = [case for case in cases if case.claim.id in naming]
    found = _judge_subject(name, "named by claims", "subject", mutant, near, base.right, budget)
    if found["status"] != REFUTED:
        found = _judge_subject(name, "named by claims", "subject", mutant, cases, base.right, budget)
    return [found]


def _judge_subject(
    name: str,
    family: str,
    part: str,
    change: battery.Change,
    cases: Sequence[Case],
    right: dict[str, Outcome],
    budget: float,
) -> Row:
    """The row of a mutant that wraps a right subject; cases that it does not apply to are left out."""
    found = Verdicts()
    for one in battery.judged(cases, right, change, budget=budget):
        if one.verdict not in ("not applicable", "unsupported"):
            found.add(right[one.case], one)
    return row(name, family, part, found)


# --- the run -----------------------------------------------------------------------------------------------------


def run(
    journal: Journal,
    problems: dict[str, Problem],
    base: Baseline,
    sources: Sequence[source.SourceMutant],
    *,
    workers: int = 1,
    budget: float = 1.0,
    progress: Callable[[str], None] | None = None,
) -> list[Row]:
    """The rows of all mutants: of the source, of every part of the answers, and those that claims name.

    budget: seconds of cases that are judged after the first refutation of a mutant.
    """
    jobs: list[Job] = []
    for part in operators.PARTS:
        jobs.append(_job(part, 600.0, _judge_part, part, problems))
    for mutant in sources:
        keys = base.reached(mutant)
        limit = GRACE + SLOWER * sum(base.right[key].seconds for key in keys)
        jobs.append(_job(mutant.key, limit, judge_source, mutant, keys, problems, budget, base.right))
    asked = {base.right[key].claim for key in base.sound}
    for name in operators.of_claims(asked):
        jobs.append(_job(name, 300.0, _judge_named, name, problems, base, budget))
    families = {mutant.key: (mutant.family, mutant.module.split(".")[1]) for mutant in sources}
    left = [job for job in jobs if job.key not in journal.known]
    for key, result in in_processes(left, workers, start="fork"):
        if isinstance(result, Failure):
            family, part = families.get(key, ("", ""))
            raised = result.why == "raised"
            why = (ERROR, result.trace[-300:]) if raised else (HUNG, "ended by its limit of processor time")
            result = [row(key, family, part, Verdicts(), *why)]
        journal.add(key, result)
        if progress:
            progress(key)
    return [one for job in jobs for one in journal.known[job.key]]
