"""A record: one flat row for one claim on one subject and one problem. Everything else is made from records."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from odecheck_reference import Bounded, FlowError, Problem
from odecheck_reference.looked import widths

from .claim import Claim
from .errors import BadInput, NotApplicable, Unsupported
from .foreign import for_terminal, said, words
from .instruments.metering import Meter, metered
from .instruments.unit_of_work import unit_of_work
from .judge import BENT, OF_BENDS, Judgement, Verdict, bends, judge, reference_without_an_answer, what_decides
from .refinement import Refined, erratic
from .subject import Subject

# a residual that is off by more than this part of itself is another one
RESIDUAL = 0.1
OTHER_RESIDUAL = (
    "Read literally it is false, and a right subject differs from it by a residual that is known. What is expected "
    "here is the literal value with that residual."
)
# what tells two runs of the same case apart although nothing is different
UNREPEATABLE = ("seconds",)
# how the message of a record begins whose subject was refused before any claim
REFUSED = "refused: "


@dataclass(frozen=True)
class Record:
    """One verdict and what it rests on, flat, as a row of a table.

    Numbers of a case that was not judged are NaN.

    Attributes:
        claim: Id of the claim.
        subject: Name of the subject.
        problem: Name of the problem.
        verdict: What became of it.
        ok: Whether the row is as expected: what an exit status is made of.
        expected_verdict: What the claim expects of a correct subject.
        expected_failure: Why this subject is known to fail this claim, or empty.
        independent: Whether the problem has a formula of the field that is not the subject's own.
        resolution: The largest relative defect that may stay unseen in a verdict "holds".
        resolved: The smallest relative defect that would have been refuted for certain.
        score: Gap / bar at the worst component.
        worst: The index of the component whose score is the largest, as text.
        observed: The observed number there.
        expected: The expected one.
        bar: The sum of both error bars there.
        ratio: Observed / expected there.
        budget: The terms of the bar there as JSON, largest first.
        target: What the engine's derivative is of: "flow" or "steps".
        nfe: Evaluations of the field, on all rungs of the subject.
        solves: Solves of all rungs.
        seconds: Of the clock, of all rungs.
        message: The claim in words, or why there is no verdict.
        source: Where the claim is stated.
        decides: What would decide it, in one line; empty where it is not inconclusive.
        looked_at: Any feature of the problem on its trajectory that is wider than this, in units of time, was certainly
            looked at by the reference; the widest of all that the claim asked for. 0 where nothing narrow can be
            missed, infinite where nothing was looked at in between, NaN where nothing was judged.
    """

    claim: str
    subject: str
    problem: str
    verdict: Verdict
    ok: bool
    expected_verdict: str
    expected_failure: str
    independent: bool
    resolution: float
    resolved: float
    score: float
    worst: str
    observed: float
    expected: float
    bar: float
    ratio: float
    budget: str
    target: str
    nfe: int
    solves: int
    seconds: float
    message: str
    source: str
    decides: str = ""
    looked_at: float = float("nan")

    @property
    def key(self) -> tuple[str, str, str]:
        """The names of claim, subject and problem: in one run there is one record of each."""
        return self.claim, self.subject, self.problem

    @property
    def largest_term(self) -> str:
        """The largest term of the bar, by name and size."""
        terms: Mapping[str, float] = json.loads(self.budget)
        return next((f"{name} {size:.2g}" for name, size in terms.items()), "none")

    @property
    def narrowest(self) -> str:
        """The narrowest feature that was certainly looked at, in words; empty where nobody knows."""
        if math.isnan(self.looked_at):
            return ""
        if math.isinf(self.looked_at):
            return "no feature in between was looked at"
        return f"every feature wider than {self.looked_at:.2g} in time" if self.looked_at else "every feature"

    def repeatable(self) -> dict[str, Any]:
        """What must come out the same when the same case is run again.

        Returns:
            Column → value, of all columns but the seconds.
        """
        return {k: v for k, v in asdict(self).items() if k not in UNREPEATABLE}

    def __str__(self) -> str:
        return for_terminal(self._told())

    def _told(self) -> str:
        if self.verdict not in (Verdict.HOLDS, Verdict.REFUTED, Verdict.INCONCLUSIVE):
            return f"{self.claim} {self.verdict}: {self.message}\n  subject: {self.subject}\n  problem: {self.problem}"
        return (
            f"{self.claim} {self.verdict}: {self.message}\n"
            f"  subject: {self.subject}\n  problem: {self.problem}\n"
            f"  at {self.worst}: observed {self.observed:.15g}, expected {self.expected:.15g} ± {self.bar:.2g}\n"
            f"  gap / bar {self.score:.3g}, observed / expected {self.ratio:.10g}, "
            f"largest term of the bar: {self.largest_term}\n"
            f"  would have refuted a relative defect of {self.resolved:.2g} (asked for: {self.resolution:.2g})"
            + (f"\n  looked at: {self.narrowest}" if self.narrowest else "")
            + (f"\n  to decide it: {self.decides}" if self.decides else "")
        )


COLUMNS = tuple(f.name for f in fields(Record))
# columns without which a row is no record; kept rows of before may lack the others
NEEDED = frozenset(f.name for f in fields(Record) if f.default is MISSING)


def evaluate(claim: Claim, subject: Subject, problem: Problem, *, promises: bool = True) -> Record:
    """Judge one case. Never raises for what the subject does: a crash is a record too.

    Args:
        claim: What is asked.
        subject: Of whom.
        problem: On what.
        promises: Whether an open verdict is worth the question what each rung's tolerance promises.

    Returns:
        The verdict, and what it rests on and has cost.
    """
    judgement: Judgement | None = None
    message, decides, residual, asked = claim.text, "", "", claim.resolution
    with unit_of_work(), metered() as cost, widths() as looked:
        try:
            observed, expected = claim.statement(subject, problem)
            judgement = judge(observed, expected, resolution=asked, scale=claim.scale)
            if judgement.verdict is Verdict.INCONCLUSIVE and asked < OF_BENDS and bends(problem):
                asked = OF_BENDS
                judgement = judge(observed, expected, resolution=asked, scale=claim.scale)
                message = f"{message} {BENT}"
            wanted = claim.expected(problem)
            judgement, of_rungs = _each_rung(judgement, observed, expected, wanted, promises=promises)
            verdict, message = judgement.verdict, message + of_rungs
            if wanted is Verdict.REFUTED and verdict is not Verdict.HOLDS and claim.predicted:
                other = _residual(observed, expected, claim.predicted(subject, problem))
                # what is not far enough from the literal value to tell may be too far from what is predicted
                told = other.verdict is Verdict.REFUTED
                if told or (verdict is Verdict.REFUTED and other.verdict is Verdict.INCONCLUSIVE):
                    judgement, verdict, residual = other, other.verdict, OTHER_RESIDUAL
                    message = f"{message} {residual}"
            if verdict is Verdict.INCONCLUSIVE:
                decides = what_decides(judgement, resolution=asked, solver=subject.solver)
        except NotApplicable as reason:
            verdict, message = Verdict.NOT_APPLICABLE, words(reason)
        except Unsupported as reason:
            verdict, message = Verdict.UNSUPPORTED, words(reason)
        except FlowError as reason:
            verdict, message = Verdict.INCONCLUSIVE, f"the reference has no answer: {words(reason)}"
            decides = reference_without_an_answer(reason)
        except Exception as error:  # whatever a user's model or library raises is a row of its own
            verdict, message = Verdict.ERROR, f"{said(error)}\n{where(error)}"
    row = replace(_row(claim, subject, problem, verdict, message, judgement, cost), resolution=asked)
    seen = max(looked, default=math.inf) if judgement else math.nan
    return replace(row, decides=decides, ok=row.ok and not residual, looked_at=seen)


def _each_rung(
    j: Judgement, observed: Bounded, expected: Bounded, wanted: Verdict, *, promises: bool
) -> tuple[Judgement, str]:
    """The judgement, refuted where a single rung of a refinement is wrong although the finest may be right."""
    if j.verdict is Verdict.REFUTED or wanted is not Verdict.HOLDS:
        return j, ""
    undecided = promises and j.verdict is Verdict.INCONCLUSIVE
    for seen, other in ((observed, expected), (expected, observed)):
        bad = erratic(seen, other, undecided=undecided) if isinstance(seen, Refined) else None
        if bad:
            ratio = bad.observed / bad.expected if bad.expected else float("nan")
            score, bar = bad.gap / bad.allowed, {"what a right rung may be off by": bad.allowed}
            found = replace(j, verdict=Verdict.REFUTED, worst=bad.worst, observed=bad.observed, expected=bad.expected)
            return replace(found, bar=bad.allowed, score=score, ratio=ratio, budget=bar), f" But {bad.text}."
    return j, ""


def _residual(observed: Bounded, literal: Bounded, predicted: Bounded) -> Judgement:
    """Whether a subject is off by what is predicted where a statement is false as it reads, to a tenth of that."""
    size = float(np.max(np.abs(predicted.value - literal.value)))
    return judge(observed, predicted, resolution=RESIDUAL, scale=size)


def crashed(claim: Claim, subject: Subject, problem: Problem, message: str) -> Record:
    """The record of a case that ended without an answer: its process died, or what was raised ends a process.

    Args:
        claim: What was asked.
        subject: Of whom.
        problem: On what.
        message: What is known of the end.

    Returns:
        A record with the verdict "error".
    """
    return _row(claim, subject, problem, Verdict.ERROR, message, None, Meter())


def refused(claim: Claim, subject: Subject, problem: Problem, reason: BadInput) -> Record:
    """The record of a case whose subject or problem cannot be verified.

    Args:
        claim: What was asked.
        subject: Of whom.
        problem: On what.
        reason: What was seen, its usual cause, and what to type.

    Returns:
        A record with the verdict "error", of which `is_refused` is true.
    """
    return crashed(claim, subject, problem, f"{REFUSED}{words(reason)}")


def is_refused(record: Record) -> bool:
    """Whether a record says that its subject was refused before any claim.

    Args:
        record: Of any verdict.

    Returns:
        True for what `refused` makes.
    """
    return record.verdict is Verdict.ERROR and record.message.startswith(REFUSED)


def not_asked(claim: Claim, subject: Subject, problem: Problem, message: str) -> Record:
    """The record of a case for which there was no time: nobody's fault.

    Args:
        claim: What was to be asked.
        subject: Of whom.
        problem: On what.
        message: Why it was not.

    Returns:
        A record with the verdict "not asked".
    """
    return _row(claim, subject, problem, Verdict.NOT_ASKED, message, None, Meter())


def where(error: BaseException) -> str:
    """The last frames of a traceback, without their machine's folders.

    Args:
        error: That was raised.

    Returns:
        A line for each of them, the innermost last.
    """
    try:
        frames = traceback.extract_tb(error.__traceback__)[-4:]
    except Exception:  # a source that is no text
        return "  (its traceback cannot be read)"
    return "\n".join(words(f"  {f.filename.rsplit('/', 1)[-1]}:{f.lineno} {f.name}: {f.line}", 500) for f in frames)


def _row(
    claim: Claim, subject: Subject, problem: Problem, verdict: Verdict, message: str, j: Judgement | None, cost: Any
) -> Record:
    nan = float("nan")
    known = words(subject.expected_failures.get(claim.id, ""))
    judged = verdict in (Verdict.HOLDS, Verdict.REFUTED, Verdict.INCONCLUSIVE) and j is not None
    wanted = claim.expected(problem) if judged else claim.expect
    ok = verdict in (wanted, Verdict.NOT_APPLICABLE, Verdict.UNSUPPORTED, Verdict.NOT_ASKED)
    if known and verdict in (Verdict.HOLDS, Verdict.REFUTED):
        ok = verdict != wanted  # strict: what is known to fail has to fail
    return Record(
        claim=claim.id,
        subject=words(subject.name),
        problem=words(problem.name),
        verdict=verdict,
        ok=ok,
        expected_verdict=str(wanted),
        expected_failure=known,
        independent=problem.independent,
        resolution=claim.resolution,
        resolved=j.resolved if j else nan,
        score=j.score if j else nan,
        worst=str(list(j.worst)) if j else "",
        observed=j.observed if j else nan,
        expected=j.expected if j else nan,
        bar=j.bar if j else nan,
        ratio=j.ratio if j else nan,
        budget=json.dumps(dict(j.budget) if j else {}),
        target=subject.engine.target,
        nfe=cost.nfe,
        solves=cost.solves,
        seconds=cost.seconds,
        message=words(message),
        source=claim.source,
    )
