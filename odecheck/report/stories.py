"""The whole story of every record that has to be read, by its anchor on the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from odecheck.judge import Verdict
from odecheck.records.story import story
from odecheck.records.summary import identifier, outcome

from .reader import Found
from .sections.conformance import TOLD
from .sections.verdict import READ_FIRST
from .tables.records import WORDS, anchor
from .text import shown, tidy

# more than anybody reads; of the rest the page shows the columns
MOST = 5_000


def stories(found: Found, also: Collection[str] = ()) -> dict[str, str]:
    """also: anchors of records whose stories are told although nobody has to read them first."""
    made: dict[str, str] = {}
    for number, run in enumerate(found.runs):
        facts = sound_facts(run.facts)
        again = f"\n\nOr: odecheck show {{0}} --run {run.folder}"
        alone = f"\nWith the library alone, where that can be: odecheck reproduce {{0}} --run {run.folder}"
        for record in run.records:
            name = anchor(number, record)
            if len(made) == MOST or (WORDS[outcome(record)] not in READ_FIRST and name not in also):
                continue
            short = {
                f.name: tidy(v) for f in dataclasses.fields(record) if isinstance(v := getattr(record, f.name), str)
            }
            brief = dataclasses.replace(record, **{**short, "verdict": record.verdict, "budget": record.budget})
            commands = again + (alone if record.verdict == Verdict.REFUTED else "")
            made[name] = story(brief, facts) + commands.format(identifier(record))
    rows = found.tables.get("conformance")
    if rows is not None:
        told = rows[rows["verdict"].isin(TOLD)].head(MOST - len(made))
        made |= {row["record"]: _of_a_library(row) for row in told.to_dict("records")}
    return made


def _of_a_library(row: Mapping[str, Any]) -> str:
    """The story of a row of conformance, with the script that shows it where the table has one."""
    pairs = [
        ("library", f"{row['library']} {row['version']}"),
        ("asked", f"{row['engine']}, {row['method']}"),
        ("problem", row["problem"]),
        ("known to fail", row["expected_failure"]),
        ("message", row["message"]),
        ("observed", f"{row['observed']:.17g}"),
        ("should be", f"{row['expected']:.17g} ± {row['bar']:.3g}"),
        ("gap / bar", f"{row['score']:.4g} (refuted above 1)"),
        ("would have seen", f"a relative defect of {shown(row['resolved'], 'number')}"),
        ("cost", f"{shown(row['nfe'], 'count')} evaluations of the field, {shown(row['seconds'], 'number')} s"),
    ]
    lines = [f"{name:<17}{text}".replace("\n", "\n" + " " * 17) for name, text in pairs if text]
    script = ["", "As a script, which needs the library alone:", "", row["reproducer"]] if row["reproducer"] else []
    return "\n".join([f"{row['claim']} {row['verdict']} [{row['row']}]", "", *lines, *script])


def sound_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that a story tells, where they are of the form that a run has."""
    source, versions = facts.get("source"), facts.get("versions")
    return {
        **facts,
        "source": source if isinstance(source, Mapping) and isinstance(source.get("targets"), list) else None,
        "versions": versions if isinstance(versions, Mapping) else {},
    }
