"""False alarms: drawn problems and correct subjects, of which no claim may refute any.

A batch is eight drawn (problem, subject) pairs, and every claim is judged on each pair. Batch k of a seed is the same
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

from ..claim import Claim
from ..claims import ALL
from ..door import BadInput
from ..engines.own import Closed, Discrete
from ..engines.torchdiffeq import Adjoint, Backprop
from ..judge import Verdict
from ..record import Record, evaluate
from ..shipped import STEP_TIMES
from ..solvers import Adaptive, FixedStep
from ..subject import SHIPPED, Subject, metered
from .journal import Piece, Row

PAIRS = 8
LARGEST_HESSIAN = 16
CORRECT = (
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Backprop()),
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Adjoint()),
    Subject(SHIPPED, FixedStep("rk4", step=0.05, interp="cubic"), Backprop(), expected_failures={"NODE-3": STEP_TIMES}),
    Subject(SHIPPED, FixedStep("rk4", step=0.05, interp="cubic"), Adjoint()),
    Subject(SHIPPED, Adaptive("bosh3", rtol=1e-6, land=True), Adjoint()),
    Subject(SHIPPED, FixedStep("heun3", step=0.02, interp="cubic"), Adjoint()),
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Closed()),
    Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Discrete()),
)
WRONG = {Verdict.HOLDS: Verdict.REFUTED, Verdict.REFUTED: Verdict.HOLDS}
JUDGED = (Verdict.HOLDS, Verdict.REFUTED, Verdict.INCONCLUSIVE)


def unseen(record: Record, subject: Subject, problem: Problem) -> bool:
    """Whether it is the derivative of steps that no tolerance refines: a known finding, no false alarm.

    Backpropagation through an adaptive solve differentiates steps that were chosen for the solution alone. Where the
    solution is easier than its sensitivities, at rest for one, no tolerance makes the derivative right.
    """
    if not record.claim.startswith(("NODE", "HB", "ADAM", "SNOPT")) or subject.engine.target != "steps":
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


def asked(claim: Claim, subject: Subject, problem: Problem) -> bool:
    """Whether a claim is asked of a pair: for their cost, Hessians of the flow are up to `LARGEST_HESSIAN` rows."""
    dear = claim.id.startswith("SNOPT") and subject.engine.name == Closed().name
    return not dear or problem.y0.size + problem.field.params <= LARGEST_HESSIAN


def batch(seed: int, number: int, pairs: int = PAIRS) -> list[tuple[Problem, Subject]]:
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
    from ..strategies import problems

    drawn: list[tuple[Problem, Subject]] = []

    # the first example of hypothesis is the simplest there is, the same in every batch: it is left out
    @seeded(hash((seed, number)))
    @settings(max_examples=pairs + 1, phases=(Phase.generate,), database=None, deadline=None,
              suppress_health_check=tuple(HealthCheck))  # fmt: skip  # pyright: ignore[reportArgumentType]
    @given(problem=problems(), subject=st.sampled_from(CORRECT))
    def collect(problem: Problem, subject: Subject) -> None:
        drawn.append((problem, subject))

    collect()
    return [(p.with_(name=f"drawn {seed}.{number}.{i}"), s) for i, (p, s) in enumerate(drawn[1:])]


def digest(problem: Problem) -> str:
    """Twelve characters of a problem's numbers and kind: two rows on the same problem have the same."""
    kind = f"{problem.field!r} {type(problem.loss).__name__} {problem.running!r}"
    numbers = b"".join(array.tobytes() for array in (problem.y0, problem.theta, problem.ts))
    return hashlib.sha256(kind.encode() + numbers).hexdigest()[:12]


def judged(argument: tuple[int, int]) -> list[Row]:
    """The rows of batch (seed, number)."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    for i, (problem, subject) in enumerate(batch(*argument)):
        for claim in ALL:
            if not asked(claim, subject, problem):
                continue
            record = evaluate(claim, subject, problem)
            alarm = false_alarm(record, subject, problem)
            rows.append({
                "batch": argument[1], "pair": i, "problem": digest(problem), "subject": subject.name,
                "claim": claim.id, "verdict": str(record.verdict), "resolved": record.resolved,
                "alarm": alarm, "known": record.verdict != record.expected_verdict and not alarm
                and record.verdict in (str(WRONG[Verdict(record.expected_verdict)]), str(Verdict.ERROR)),
                "message": str(record) if alarm else "",
            })  # fmt: skip
    return rows


def pieces(seed: int, first: int, count: int) -> list[Piece]:
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
