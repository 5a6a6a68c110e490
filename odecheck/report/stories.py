"""The whole story of every record that has to be read, by its anchor on the page."""

from __future__ import annotations

import dataclasses

from ..story import story
from ..summary import identifier, outcome
from .sections.verdict import READ_FIRST
from .tables import Found, anchor, tidy

# more than anybody reads; of the rest the page shows the columns
MOST = 5_000


def stories(found: Found) -> dict[str, str]:
    made: dict[str, str] = {}
    for number, run in enumerate(found.runs):
        again = f"\n\nOr: odecheck show {{}} --run {run.folder}"
        for record in run.records:
            if outcome(record) not in READ_FIRST or len(made) == MOST:
                continue
            short = {
                f.name: tidy(v) for f in dataclasses.fields(record) if isinstance(v := getattr(record, f.name), str)
            }
            brief = dataclasses.replace(record, **{**short, "verdict": record.verdict, "budget": record.budget})
            made[anchor(number, record)] = story(brief, run.facts) + again.format(identifier(record))
    return made
