"""The ledger: one row for each claim of the papers, with the verdict that drawn problems give it.

`build()` judges every claim on problems of `drawn`, `to_markdown` and `to_json` write the rows. A verdict is made of
records alone: what a claim is expected to give decides nothing but how a conditional verdict is worded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from odecheck_reference import Problem, solution
from odecheck_reference.losses import Linear

from odecheck.claim import FAMILIES, Claim, Kind, family_of, reading_order
from odecheck.claims import ALL
from odecheck.engines.own import Closed
from odecheck.engines.torchdiffeq import Backprop
from odecheck.errors import needed
from odecheck.judge import Verdict
from odecheck.problem_sets.families import FAMILIES as DRAWN
from odecheck.problem_sets.families import draw, families_of
from odecheck.record import Record, evaluate
from odecheck.runner.run import check
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

from .benchmark_claims import CLAIMS

CONDITIONAL = "holds under a condition"
JUDGED = (Verdict.HOLDS, Verdict.REFUTED, Verdict.INCONCLUSIVE)
SUBJECT = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8, land=True), Backprop())
SECOND_ORDER = Subject(SHIPPED, Adaptive("dopri8", rtol=1e-7, land=True), Closed())
# the subjects that claims are asked of: a claim goes on to the next one where it has nothing to say
SUBJECTS: Mapping[Kind, tuple[Subject, ...]] = {
    "derivatives": (SUBJECT,),
    # outputs between steps too: a solver that lands on its outputs takes steps that its tolerance does not choose
    "solution": (
        replace(SUBJECT, solver=Adaptive("dopri5", rtol=1e-8)),
        Subject(SHIPPED, FixedStep("rk4", step=0.05), Backprop()),
    ),
    "second derivatives": (SECOND_ORDER, Subject(SHIPPED, Adaptive("dopri5", rtol=1e-4), Closed())),
}


def papers() -> dict[str, str]:
    """Families of claims with rows in the ledger, in reading order: id → title."""
    found = sorted((f for f in FAMILIES.values() if f.drawn), key=lambda f: (f.order, f.id))
    return {one.id: one.title for one in found}


# statements of the papers that trainings judge, and no claim: rows that say so where none were kept
BENCHMARKS: Mapping[str, str] = {one.id: one.statement for one in CLAIMS}
HEAD = """Made by `odecheck claims --verify --write reports`. Every verdict is worked out on drawn problems. The
bodies of the papers are not quoted: a refuted statement is one that was read literally. *Could hide*: the largest
relative defect that would have gone unseen. A counter-example is the smallest problem drawn, its numbers made plain."""


@dataclass(frozen=True)
class Row:
    """One claim.

    Attributes:
        claim: its id.
        statement: its sentence.
        source: where it stands.
        verdict: that of all problems together.
        condition: under which it holds, in words.
        problems: how many were judged.
        held: of these.
        refuted: of these.
        resolution: the relative defect that has to be seen.
        resolved: the largest relative defect that a verdict "holds" may hide.
        score: the largest gap in units of its bar among what held.
        gap: |observed − expected| of the counter-example.
        counter_example: its problem, the smallest one drawn.
        note: what is to be known besides.
    """

    claim: str
    statement: str
    source: str
    verdict: str
    condition: str = ""
    problems: int = 0
    held: int = 0
    refuted: int = 0
    resolution: float | None = None
    resolved: float | None = None
    score: float | None = None
    gap: float | None = None
    counter_example: str = ""
    note: str = ""


def paper(claim: str) -> str:
    """The id of the family of a claim, by its id."""
    return family_of(claim).id


def build(claims: Sequence[Claim] = ALL, *, workers: int = 2, families: Sequence[str] | None = None) -> list[Row]:
    """Judge the claims on their drawn problems and make one row of each.

    Args:
        claims: of the papers.
        workers: processes.
        families: only problems of these; by default those that each family of claims names.

    Returns:
        The rows, in reading order, those of benchmark claims among them.
    """
    records: list[Record] = []
    for group in papers():
        mine = [claim for claim in claims if claim.family.id == group]
        names = families_of(*FAMILIES[group].drawn)
        chosen = [name for name in names if families is None or name in families]
        problems = [draw(name, seed) for name in chosen for seed in range(DRAWN[name].seeds)]
        for subject in SUBJECTS[FAMILIES[group].speaks_of]:
            if mine and problems:
                records += check(
                    [(subject, problem) for problem in problems], claims=mine, workers=workers, validate=False
                )
            judged = {r.claim for r in records if r.verdict not in (Verdict.NOT_APPLICABLE, Verdict.UNSUPPORTED)}
            mine = [claim for claim in mine if claim.id not in judged]
    rows = [row(claim, [r for r in records if r.claim == claim.id]) for claim in claims]
    asked = {claim.family.id for claim in claims}
    rows += [_unjudged(id) for id in BENCHMARKS if paper(id) in asked]
    return sorted(rows, key=lambda r: reading_order(r.claim))


def _unjudged(id: str) -> Row:
    note = "benchmark claim: not verified here"
    return Row(id, BENCHMARKS[id], papers()[paper(id)], str(Verdict.NOT_APPLICABLE), note=note)


def row(claim: Claim, records: Sequence[Record]) -> Row:
    """The row of a claim, made of its records."""
    judged = [r for r in records if r.verdict in JUDGED]
    held = [r for r in judged if r.verdict == Verdict.HOLDS]
    refuted = [r for r in judged if r.verdict == Verdict.REFUTED]
    verdict = _verdict(claim, records)
    found = Row(
        claim.id,
        claim.text,
        claim.source,
        verdict,
        claim.when.text if claim.when else "",
        len(judged),
        len(held),
        len(refuted),
        claim.resolution,
        _largest(r.resolved for r in held),
        _largest(r.score for r in held),
    )
    if verdict == Verdict.NOT_APPLICABLE and records:
        return replace(found, note=records[0].message.split("\n")[0])
    if verdict == Verdict.INCONCLUSIVE:
        undecided = next(r for r in records if r.verdict == Verdict.INCONCLUSIVE)
        return replace(found, note=f"to decide it on {undecided.problem}: {undecided.decides}")
    if refuted:
        problem, record = smallest(claim, refuted)
        return replace(found, gap=abs(record.observed - record.expected), counter_example=typed(problem))
    return found


def _verdict(claim: Claim, records: Sequence[Record]) -> str:
    verdicts = {r.verdict for r in records if r.verdict not in (Verdict.NOT_APPLICABLE, Verdict.UNSUPPORTED)}
    if not verdicts:
        return str(Verdict.NOT_APPLICABLE)
    for worse in (Verdict.ERROR, Verdict.INCONCLUSIVE):
        if worse in verdicts:
            return str(worse)
    if verdicts == {Verdict.HOLDS}:
        return str(Verdict.HOLDS)
    met = {r.verdict for r in records if r.verdict in JUDGED and r.expected_verdict == Verdict.HOLDS}
    beyond = {r.verdict for r in records if r.verdict in JUDGED and r.expected_verdict == Verdict.REFUTED}
    both = claim.when is not None and met == {Verdict.HOLDS} and beyond == {Verdict.REFUTED}
    return CONDITIONAL if both and claim.expect == Verdict.HOLDS else str(Verdict.REFUTED)


def _largest(values: Iterable[float]) -> float | None:
    finite = [v for v in values if math.isfinite(v)]
    return max(finite) if finite else None


def smallest(claim: Claim, records: Sequence[Record]) -> tuple[Problem, Record]:
    """The smallest problem of these refutations, its times and numbers as plain as it stays refuted.

    A second derivative is too dear for trials: of such claims it is the problem as it was drawn.
    """

    def size(record: Record) -> tuple[int, str]:
        problem = _drawn(record)
        return problem.y0.size + problem.theta.size, problem.name

    record = min(records, key=size)
    problem = _drawn(record)
    subject = next(s for s in SUBJECTS[claim.family.speaks_of] if s.name == record.subject)
    for plainer in (_at_ends, _whole_numbers) if subject is SUBJECT else ():
        candidate = plainer(problem)
        tried = evaluate(claim, subject, candidate)
        if tried.verdict == Verdict.REFUTED and tried.expected_verdict == Verdict.REFUTED:
            problem, record = candidate, tried
    return problem, record


def _drawn(record: Record) -> Problem:
    family, seed = record.problem.rsplit(" #", 1)
    return draw(family, int(seed))


def _at_ends(problem: Problem) -> Problem:
    """One row, seen at the last time alone, which is a whole number."""
    slope = problem.loss.gradient(solution(problem).value)[-1, :1]
    loss = Linear(np.stack([0 * slope, np.round(4 * slope) / 4]))
    return problem.with_(y0=problem.y0[:1], ts=np.array([0.0, max(round(float(problem.ts[-1])), 1)]), loss=loss)


def _whole_numbers(problem: Problem) -> Problem:
    return problem.with_(y0=np.round(problem.y0), theta=np.round(2 * problem.theta) / 2)


def typed(problem: Problem) -> str:
    """A problem's numbers, so that it can be typed."""
    y0, ts, theta = (
        np.array2string(x, separator=", ", max_line_width=10_000, floatmode="unique")
        for x in (problem.y0, problem.ts, problem.theta)
    )
    return f"{problem.name}: y0 = {y0}, t = {ts}, theta = {theta}"


def to_json(rows: Sequence[Row]) -> str:
    """The rows as JSON."""
    return json.dumps([asdict(r) for r in rows], indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> list[Row]:
    """The rows of what `to_json` wrote."""
    return [Row(**entry) for entry in json.loads(text)]


def write(rows: Sequence[Row], folder: Path) -> None:
    """ledger.md and ledger.json; benchmark claims as the trainings kept in the same folder say."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = _with_benchmarks(rows, folder)
    (folder / "ledger.md").write_text(to_markdown(rows), encoding="utf-8")
    (folder / "ledger.json").write_text(to_json(rows), encoding="utf-8")


def _with_benchmarks(rows: Sequence[Row], folder: Path) -> list[Row]:
    from .benchmark_rows import ledger_row
    from .training_claims import judge_rows

    places = sorted((folder / "training").glob("*.parquet"))
    if not places:
        return list(rows)
    pd, _ = needed("tables", "pandas", "pyarrow")
    kept = [(pd.read_parquet(path), json.loads(path.with_suffix(".json").read_text())) for path in places]
    found = [one for table, facts in kept for one in judge_rows(table, facts)]
    judged = {one.id: ledger_row(one, [o for o in found if o.claim == one.id]) for one in CLAIMS}
    asked = {paper(r.claim) for r in rows}
    there = {r.claim for r in rows}
    whole = [*rows, *(Row(**row) for id, row in judged.items() if id not in there and paper(id) in asked)]
    return [Row(**judged[r.claim]) if r.claim in judged else r for r in whole]


def to_line(r: Row) -> str:
    """A row as one line of a terminal."""
    condition = f" ({r.condition})" if r.condition else ""
    return f"{r.claim:<9}{r.verdict}{condition}: {r.statement}\n{'':9}{_evidence(r)}"


def to_markdown(rows: Sequence[Row]) -> str:
    """One table for each paper, and the counter-examples below it."""
    lines = ["# What the papers claim, and what came out", "", HEAD, ""]
    for prefix, title in papers().items():
        mine = [r for r in rows if paper(r.claim) == prefix]
        if not mine:
            continue
        lines += [f"## {title}", "", "| claim | statement | verdict | evidence | source |", "|---|---|---|---|---|"]
        lines += [
            f"| {r.claim} | {_cell(r.statement)} | {_shown(r)} | {_evidence(r)} | {_cell(r.source)} |" for r in mine
        ]
        lines.append("")
        found = [f"- {r.claim}: off by {r.gap:.2g} on {r.counter_example}" for r in mine if r.counter_example]
        lines += ["Counter-examples:", "", *found, ""] if found else []
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _shown(r: Row) -> str:
    if r.verdict == CONDITIONAL:
        return f"**holds** under the condition: {r.condition}; refuted without it"
    if r.verdict == Verdict.REFUTED and r.condition:
        return f"**refuted**; true where {r.condition}" if r.held else "**refuted**"
    return f"**{r.verdict}**"


def _evidence(r: Row) -> str:
    if not r.problems:
        return _cell(r.note)
    parts = [f"{r.problems} problems: {r.held} hold, {r.refuted} refuted"]
    if r.resolved is not None:
        parts.append(f"could hide {r.resolved:.1e}")
    parts += [r.note] if r.note and r.verdict == Verdict.INCONCLUSIVE else []
    return "; ".join(parts)
