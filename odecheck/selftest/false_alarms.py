"""False alarms: drawn problems and correct subjects, of which no claim may refute any.

A batch is two drawn problems, each with four drawn subjects, so that four subjects share what the reference says. Every
claim is judged on each of the eight pairs, a dear one on one subject of each problem. Batch k of a seed is the same
everywhere (with one version of hypothesis), so a run is resumed batch by batch and an alarm is found again by
`batch(seed, k)`. A row counts as judged when its claim came to a verdict of its own: holds, refuted or inconclusive.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from odecheck_reference import Problem

from odecheck.claim import Claim, family_of
from odecheck.claims import ALL
from odecheck.engines.own import Closed, Discrete
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.errors import BadInput
from odecheck.instruments.metering import metered
from odecheck.judge import Verdict
from odecheck.record import Record, evaluate
from odecheck.runner.presets import STEP_TIMES
from odecheck.solvers import Adaptive, FixedStep
from odecheck.subject import SHIPPED, Subject

from .battery import KeptRuns
from .journal import Piece, Row

PROBLEMS, SUBJECTS = 2, 4
# rows of the Hessian of the flow, batch · state + params: the reference's cost grows with the square
LARGEST, LARGEST_HESSIAN = 20, 12
CORRECT = (
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Backprop()),
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-6), Adjoint()),
    Subject(SHIPPED, FixedStep("rk4", step=0.1, interp="cubic"), Backprop(), expected_failures={"NODE-3": STEP_TIMES}),
    Subject(SHIPPED, FixedStep("rk4", step=0.1, interp="cubic"), Adjoint()),
    Subject(SHIPPED, Adaptive("bosh3", rtol=1e-4, land=True), Adjoint()),
    Subject(SHIPPED, FixedStep("heun3", step=0.05, interp="cubic"), Adjoint()),
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-6), Closed()),
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-6), Discrete()),
    Subject(SHIPPED, Adaptive("dopri8", rtol=1e-7, land=True), Closed()),
    Subject(SHIPPED, Adaptive("dopri8", rtol=1e-8, land=True), Backprop()),
)
# many solves, and second derivatives of the flow in the reference: asked of every fourth and of every 32nd pair
DEAR = ("SOL-5", "NODE-1", "NODE-4", "NODE-5")
WRONG = {Verdict.HOLDS: Verdict.REFUTED, Verdict.REFUTED: Verdict.HOLDS}
JUDGED = (Verdict.HOLDS, Verdict.REFUTED, Verdict.INCONCLUSIVE)


def unseen(record: Record, subject: Subject, problem: Problem) -> bool:
    """Whether it is the derivative of steps that no tolerance refines: a known finding, no false alarm.

    Backpropagation through an adaptive solve differentiates steps that were chosen for the solution alone. Where the
    solution is easier than its sensitivities, at rest for one, no tolerance makes the derivative right.
    """
    if family_of(record.claim).speaks_of == "solution" or subject.engine.target != "steps":
        return False
    spent: list[int] = []
    for rung in (subject, subject.refined().refined()):
        with metered() as cost:
            rung.gradient(problem)
        spent.append(cost.nfe)
    return spent[0] == spent[1]


def false_alarm(record: Record, subject: Subject, problem: Problem) -> bool:
    """The opposite of the verdict that the claim expects, or a crash, where no failure is known."""
    alarms = (str(WRONG[Verdict(record.expected_verdict)]), str(Verdict.ERROR))
    return record.verdict in alarms and not record.expected_failure and not unseen(record, subject, problem)


def asked(claim: Claim, problem: Problem) -> bool:
    """Whether a claim is asked of a problem: for their cost, Hessians of the flow are up to `LARGEST_HESSIAN` rows."""
    return not _dearest(claim) or size(problem) <= LARGEST_HESSIAN


def _dearest(claim: Claim) -> bool:
    return claim.family.speaks_of == "second derivatives"


def size(problem: Problem) -> int:
    """Of everything that the loss is differentiated in, but the times."""
    return problem.y0.size + problem.field.params


def _turn(claim: Claim, number: int, pair: int) -> bool:
    """Whether it is a claim's turn at one pair of one batch."""
    if _dearest(claim):
        return pair == number // 4 % (PROBLEMS * SUBJECTS) and number % 4 == 0
    return not claim.id.startswith(DEAR) or pair % SUBJECTS == number % SUBJECTS


def batch(seed: int, number: int, drawn: int = PROBLEMS) -> list[tuple[Problem, Subject]]:
    """The drawn pairs of one batch. Raises BadInput where hypothesis is not installed."""
    try:
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import seed as seeded
        from hypothesis import strategies as st
    except ImportError:
        raise BadInput(
            "problems are drawn with hypothesis, which is not installed",
            "the package without its extras",
            "pip install 'odecheck[properties]'",
        ) from None
    from odecheck.problem_sets.strategies import problems

    found: list[tuple[Problem, list[Subject]]] = []

    # the first example of hypothesis is the simplest there is, the same in every batch: it is left out
    @seeded(hash((seed, number)))
    @settings(
        max_examples=drawn + 1,
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        suppress_health_check=tuple(HealthCheck),  # pyright: ignore[reportArgumentType]
    )  # pyright: ignore[reportArgumentType]
    @given(problem=problems().filter(lambda p: size(p) <= LARGEST), subjects=st.permutations(CORRECT))
    def collect(problem: Problem, subjects: list[Subject]) -> None:
        found.append((problem, subjects[:SUBJECTS]))

    collect()
    named = [(p.with_(name=f"drawn {seed}.{number}.{i}"), s) for i, (p, s) in enumerate(found[1:])]
    return [(problem, subject) for problem, subjects in named for subject in subjects]


def digest(problem: Problem) -> str:
    """Twelve characters of a problem's numbers and kind: two rows on the same problem have the same."""
    kind = f"{problem.field!r} {type(problem.loss).__name__} {problem.running!r}"
    numbers = b"".join(array.tobytes() for array in (problem.y0, problem.theta, problem.ts))
    return hashlib.sha256(kind.encode() + numbers).hexdigest()[:12]


def judged(argument: tuple[int, int], drawn: int = PROBLEMS) -> list[Row]:
    """The rows of batch (seed, number), of so many drawn problems."""
    torch.set_num_threads(1)
    runs = KeptRuns()
    runs.install()
    rows: list[Row] = []
    for i, (problem, subject) in enumerate(batch(*argument, drawn)):
        if i % SUBJECTS == 0:
            runs.clear()
        rows += [
            _row(argument[1], i, evaluate(claim, subject, problem), subject, problem)
            for claim in ALL
            if asked(claim, problem) and _turn(claim, argument[1], i)
        ]
    return rows


def _row(number: int, pair: int, record: Record, subject: Subject, problem: Problem) -> Row:
    alarm = false_alarm(record, subject, problem)
    unexpected = record.verdict in (str(WRONG[Verdict(record.expected_verdict)]), str(Verdict.ERROR))
    return {
        "batch": number,
        "pair": pair,
        "problem": digest(problem),
        "subject": subject.name,
        "claim": record.claim,
        "verdict": str(record.verdict),
        "resolved": record.resolved,
        "alarm": alarm,
        "known": unexpected and not alarm,
        "message": str(record) if alarm else "",
    }


def pieces(seed: int, first: int, count: int) -> list[Piece]:
    """One piece of work for each of `count` batches of pairs, from number `first` on."""
    return [Piece(str(number), (seed, number)) for number in range(first, first + count)]


def counts(rows: Iterable[Mapping[str, Any]]) -> dict[str, Counter[str]]:
    """Rows per claim and verdict."""
    found: dict[str, Counter[str]] = {claim.id: Counter() for claim in ALL}
    for row in rows:
        found.setdefault(row["claim"], Counter())[row["verdict"]] += 1
    return found


def distinct(rows: Iterable[Mapping[str, Any]], verdicts: Sequence[str] = JUDGED) -> int:
    """How many different (claim, subject, problem) came to one of these verdicts."""
    return len({(r["claim"], r["subject"], r["problem"]) for r in rows if r["verdict"] in verdicts})
