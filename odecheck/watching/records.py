"""A judged solve as records, like those of any other claim: for tests, run folders and pages."""

from __future__ import annotations

import json

from odecheck.judge import Judgement, Verdict
from odecheck.record import Record

from .promise import SAFETY
from .row import Quantity, Row, State

SOURCE = "Lady Windermere's fan: Hairer, Nørsett & Wanner I, sections II.3 and II.4; Butcher 1965 on stages"
# what is asked of each solve: id → (result, in words)
QUESTIONS = {
    "WATCH-1": ("solution", "the solution is as close to the truth as the tolerance promises"),
    "WATCH-2": ("dL/dy0", "dL/dy0 is as close to the truth as the tolerance promises"),
    "WATCH-3": ("dL/dtheta", "dL/dtheta is as close to the truth as the tolerance promises"),
    "WATCH-4": ("dL/dt", "dL/dt is as close to the truth as the tolerance promises"),
    "WATCH-6": ("event time", "the time of the event is as close to the truth as the tolerance promises"),
}
MISTAKES = "WATCH-5"
NAN = float("nan")


def records(row: Row) -> list[Record]:
    """Those of one solve: each result that came out, and whether a mistake was found around it."""
    out = []
    for claim, (name, text) in QUESTIONS.items():
        quantity = row.quantities.get(name)
        if quantity is not None:
            out.append(_of_quantity(row, claim, text, quantity))
        elif name == "solution" and row.state is not State.JUDGED:
            out.append(_record(row, claim, Verdict.INCONCLUSIVE, f"{row.state}: {row.reason}", None))
    found = [f.text for f in row.findings]
    asked = row.state is State.JUDGED and not row.not_asked
    verdict = Verdict.REFUTED if found else Verdict.HOLDS if asked else Verdict.INCONCLUSIVE
    text = "\n".join(found) or ("no mistake was found around this solve" if verdict is Verdict.HOLDS else row.reason)
    out.append(_record(row, MISTAKES, verdict, text, None))
    return out


def _of_quantity(row: Row, claim: str, text: str, q: Quantity) -> Record:
    worst = f", worst tensor {q.worst}" if q.worst else ""
    said = f"{text}: off by {q.error:.2e} ± {q.bar:.1e} of its own scale{worst}"
    if q.judgement is None and row.adaptive:
        return _record(row, claim, Verdict.INCONCLUSIVE, f"{said}; what its tolerance promises is not known", None)
    if q.judgement is None:
        return _record(row, claim, Verdict.NOT_APPLICABLE, f"{said}; fixed steps have no tolerance", None)
    return _record(row, claim, q.verdict, said, q.judgement)


def _decides(row: Row) -> str:
    """What would decide what is inconclusive of a solve."""
    waiting = row.state is State.NOT_ASKED or "budget" in row.reason
    if waiting or row.state is State.JUDGED:
        return "more time: odecheck.watch(budget=SECONDS), or --budget SECONDS"
    return f"a solve that can be judged: {row.reason}"


def _record(row: Row, claim: str, verdict: Verdict, message: str, j: Judgement | None) -> Record:
    how = f"rtol={row.rtol:g}, atol={row.atol:g}" if row.adaptive else "fixed steps"
    how += f", in {row.precision}" if row.precision and row.precision != "float64" else ""
    return Record(
        claim=claim,
        subject=f"{row.field} by {row.library}.{row.function}({row.method}, {how})",
        problem=f"{row.where}, solve {row.number + 1} of the step",
        verdict=verdict,
        ok=verdict in (Verdict.HOLDS, Verdict.NOT_APPLICABLE),
        expected_verdict=str(Verdict.HOLDS),
        expected_failure="",
        independent=False,
        resolution=2 * SAFETY,
        resolved=j.resolved if j else NAN,
        score=j.score if j else NAN,
        worst=str(list(j.worst)) if j else "",
        observed=j.observed if j else NAN,
        expected=j.expected if j else NAN,
        bar=j.bar if j else NAN,
        ratio=j.ratio if j else NAN,
        budget=json.dumps(dict(j.budget) if j else {}),
        target="flow",
        nfe=sum(row.nfe),
        solves=1,
        seconds=row.truth_seconds,
        message=message,
        source=SOURCE,
        looked_at=float("inf") if j else NAN,  # no run of the truth is scanned here
        decides=_decides(row) if verdict is Verdict.INCONCLUSIVE else "",
    )
