"""The whole story of one record, and the Python that runs it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from odecheck.claim import loosely
from odecheck.foreign import for_terminal, one_line

from .facts import versions_in
from .summary import identifier

# what a run of the command line keeps of how its subjects and problems were asked for, beside the targets
ASKED = ("tier", "state", "times")

if TYPE_CHECKING:
    from odecheck.record import Record


def find(records: Sequence[Record], wanted: str) -> list[Record]:
    """The records of an identifier, or those whose claim, subject and problem contain every word of `wanted`.

    A word that is the id of a claim (NODE-2, node2) stands for that claim alone.
    """
    exact = [record for record in records if identifier(record) == wanted.strip("[]")]
    words = wanted.lower().split()
    ids = {loosely(record.claim) for record in records}

    def fits(word: str, record: Record) -> bool:
        if (loose := loosely(word)) in ids:
            return loosely(record.claim) == loose
        return word in " ".join(record.key).lower()

    return exact or [r for r in records if all(fits(word, r) for word in words)]


def story(record: Record, facts: Mapping[str, Any], statement: str = "") -> str:
    """Everything that is known about one verdict, in lines of text."""
    lines = [f"{record.claim} {record.verdict} [{identifier(record)}]", ""]
    pairs: list[tuple[str, str]] = [
        ("claim", statement),
        ("source", record.source),
        ("subject", record.subject),
        ("problem", record.problem + ("" if record.independent else " (no formula of its own: independent = False)")),
        (
            "expected",
            record.expected_verdict
            + (f", but known to fail: {record.expected_failure}" if record.expected_failure else ""),
        ),
        ("message", record.message if record.message != statement else ""),
        ("to decide it", record.decides),
        ("as expected", "yes" if record.ok else "no"),
    ]
    if record.worst:
        pairs += [
            ("worst index", record.worst),
            ("observed", f"{record.observed:.17g}"),
            ("should be", f"{record.expected:.17g} ± {record.bar:.3g}"),
            ("gap / bar", f"{record.score:.4g} (refuted above 1)"),
            ("ratio", f"{record.ratio:.12g} (observed / should be)"),
            ("would have seen", f"a relative defect of {record.resolved:.3g}, asked for {record.resolution:.3g}"),
            ("terms of the bar", _terms(record)),
            ("looked at", record.narrowest),
        ]
    pairs.append(
        (
            "cost",
            f"{record.nfe} evaluations of the field, {record.solves} solves, {record.seconds:.3f} s; {record.target}",
        )
    )
    versions = ", ".join(f"{name} {number}" for name, number in versions_in(facts).items())
    pairs.append(
        ("made with", f"{versions}; seed {facts.get('seed')}; commit {one_line(facts.get('commit') or 'none')}")
    )
    lines += [f"{name:<17}{_indented(text)}" for name, text in pairs if text]
    return for_terminal("\n".join([*lines, "", "Again, in Python:", "", reproducer(record, facts)]))


def _terms(record: Record) -> str:
    terms: dict[str, float] = json.loads(record.budget)
    return "\n".join(f"{size:.3g}  {name}" for name, size in terms.items()) or "none"


def _indented(text: str) -> str:
    return text.replace("\n", "\n" + " " * 17)


def reproducer(record: Record, facts: Mapping[str, Any]) -> str:
    """Python that runs this one case again and prints its record; what the run says is a literal in it."""
    source: object = facts.get("source")
    if not isinstance(source, dict):
        return f"odecheck.check([(subject, problem)], claims={record.claim!r})  # the run was made from Python"
    asked = cast("dict[str, Any]", source)
    arguments = ", ".join(
        [repr(asked.get("targets")), *(f"{k}={asked[k]!r}" for k in ASKED if asked.get(k) is not None)]
    )
    return (
        "import odecheck\n"
        f"pairs = odecheck.pairs({arguments})\n"
        f"wanted = {(record.subject, record.problem)!r}\n"
        "pair = next(p for p in pairs if (p[0].name, p[1].name) == wanted)\n"
        f"print(odecheck.check([pair], claims={record.claim!r}, seed={facts.get('seed', 0)!r})[0])"
    )
