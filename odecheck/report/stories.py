"""The whole story of every record that has to be read, by its anchor on the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from ..story import story
from ..summary import identifier, outcome
from .sections.verdict import READ_FIRST
from .tables import WORDS, Found, anchor, tidy

TEXTS = ("claim", "subject", "problem", "message", "source", "expected_failure", "expected_verdict", "target")
# more than anybody reads; of the rest the page shows the columns
MOST = 5_000


def stories(found: Found, also: Collection[str] = ()) -> dict[str, str]:
    """also: anchors of records whose stories are told although nobody has to read them first."""
    made: dict[str, str] = {}
    for number, run in enumerate(found.runs):
        facts = sound_facts(run.facts)
        again = f"\n\nOr: odecheck show {{}} --run {run.folder}"
        for record in run.records:
            name = anchor(number, record)
            if len(made) == MOST or (WORDS[outcome(record)] not in READ_FIRST and name not in also):
                continue
            short = {
                f.name: tidy(v) for f in dataclasses.fields(record) if isinstance(v := getattr(record, f.name), str)
            }
            brief = dataclasses.replace(record, **{**short, "verdict": record.verdict, "budget": record.budget})
            made[name] = story(brief, facts) + again.format(identifier(record))
    return made


def sound_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that a story tells, where they are of the form that a run has."""
    source, versions = facts.get("source"), facts.get("versions")
    return {
        **facts,
        "source": source if isinstance(source, Mapping) and isinstance(source.get("targets"), list) else None,
        "versions": versions if isinstance(versions, Mapping) else {},
    }
