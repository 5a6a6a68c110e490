"""With what the tables were made, and how to make them again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from odecheck.report.reader import Found
from odecheck.report.text import Column, Section, Table, Text, tidy

PLACE = 140

COLUMNS = (
    Column("run", "run"),
    Column("versions", "versions"),
    Column("device", "device"),
    Column("platform", "platform"),
    Column("seed", "seed"),
    Column("commit", "commit"),
    Column("started", "started"),
    Column("finished", "finished"),
)


def section(found: Found) -> Section | None:
    if not any(found.facts.values()):
        return None
    import pandas as pd

    rows = pd.DataFrame([_row(name, facts) for name, facts in found.facts.items() if facts])
    commands = [line for facts in found.facts.values() if (line := command(facts))]
    blocks = [Table("runs", "The runs", COLUMNS, rows)]
    return Section("made", "How this was made", "", (*blocks, *(Text(c, code=True) for c in dict.fromkeys(commands))))


def command(facts: Mapping[str, Any]) -> str:
    words = facts.get("command")
    return shlex.join(str(w) for w in words) if isinstance(words, list) else tidy(words or "")


def _row(name: str, facts: Mapping[str, Any]) -> dict[str, str]:
    versions = facts.get("versions")
    text = ", ".join(f"{k} {v}" for k, v in versions.items() if v) if isinstance(versions, Mapping) else ""
    rest = {c.name: tidy(facts.get(c.name)) for c in COLUMNS[2:]}
    return {"run": name, "versions": tidy(text), **rest}
