"""What the selftest found, as numbers: JSON and tables, made of the journals' rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from odecheck.claims import ALL
from odecheck.records.table import write_table

from . import bars, battery, by_kinds, false_alarms, hard, planted
from .exemptions import SURVIVORS, why_kept
from .journal import Row
from .mutation import ERROR, HUNG, REFUTED, SURVIVED, UNDECIDED, VOID


def unexplained(rows: Sequence[Row]) -> list[Row]:
    """The mutants that no claim refutes, that end in no error and that have no written reason."""
    return [row for row in rows if row["status"] in (SURVIVED, UNDECIDED) and row["mutant"] not in SURVIVORS]


def score(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts of mutants by what became of them, and refuted / (refuted + unexplained)."""
    counts = Counter(row["status"] for row in rows)
    explained = sum(row["status"] in (SURVIVED, UNDECIDED) and row["mutant"] in SURVIVORS for row in rows)
    open_ = len(unexplained(rows))
    return {
        "mutants": len(rows) - counts[VOID],
        "refuted": counts[REFUTED],
        "ended_with_an_error": counts[ERROR],
        "hung": counts[HUNG],
        "explained": explained,
        "unexplained": open_,
        "score": counts[REFUTED] / max(1, counts[REFUTED] + open_),
    }


def killers(rows: Sequence[Row]) -> list[Row]:
    """By claim: how many mutants it refutes, how many of them no other judged claim refutes, and why it is kept."""
    alone: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for row in rows:
        names = [name for name in row["killers"].split(",") if name]
        total.update(names)
        alone.update(names if len(names) == 1 else ())
    return [
        {
            "claim": claim.id,
            "refuted": total[claim.id],
            "alone": alone[claim.id],
            "kept": "" if alone[claim.id] else why_kept(claim.id),
        }
        for claim in battery.CLAIMS
        if claim in ALL or battery.asks(claim.id)
    ]


def summary(found: Mapping[str, Sequence[Row]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the report says, as JSON. found: rows by part; a part that was not run is absent."""
    made: dict[str, Any] = {"facts": dict(facts)}
    if "mutants" in found:
        rows = found["mutants"]
        made["mutants"] = {
            **score(rows),
            "source_mutants_asked": facts.get("parts", {}).get("mutants", {}).get("asked"),
            "drawn_from": facts.get("drawn_from"),
            "unreached": facts.get("unreached"),
            "unreached_by_module": facts.get("unreached_by_module"),
            "rooms_left_out": facts.get("rooms_left_out"),
            "claims": killers(rows),
            "unexplained_mutants": unexplained(rows),
        }
    if "kinds" in found:
        rows = found["kinds"]
        made["kinds"] = {
            **score(rows),
            "families": by_kinds.summary(rows),
            "unexplained_mutants": [row for row in rows if row["status"] == ERROR] + unexplained(rows),
        }
    if "false-alarms" in found:
        rows = found["false-alarms"]
        made["false-alarms"] = {
            "rows": len(rows),
            "judged": sum(r["verdict"] in false_alarms.JUDGED for r in rows),
            "decided": sum(r["verdict"] in false_alarms.JUDGED[:2] for r in rows),
            "distinct_judged": false_alarms.distinct(rows),
            "alarms": [r for r in rows if r["alarm"]],
            "known_findings": sum(r["known"] for r in rows),
            "problems": len({r["problem"] for r in rows}),
            "subjects": len({r["subject"] for r in rows}),
            "claims": {name: dict(count) for name, count in false_alarms.counts(rows).items()},
        }
    if "bars" in found:
        by_seed: dict[int, list[Row]] = {}
        for row in found["bars"]:
            by_seed.setdefault(row["seed"], []).append(row)
        made["bars"] = bars.summary(list(by_seed.values()))
    if "hard" in found:
        made["hard"] = hard.summary(found["hard"])
    if "planted" in found:
        made["planted"] = planted.summary(found["planted"])
    if "discernment" in found:
        made["discernment"] = list(found["discernment"])
    return made


def bad(made: Mapping[str, Any]) -> list[str]:
    """What makes the selftest fail, in words; empty when all is well."""
    found: list[str] = []
    for part in ("mutants", "kinds"):
        for row in made.get(part, {}).get("unexplained_mutants", ()):
            found.append(f"no claim refutes: {row['mutant']} ({row['family']}; {row['status']})")
    found += [
        f"{row['claim']} refutes no mutant alone, and nobody wrote why it is kept"
        for row in made.get("mutants", {}).get("claims", ())
        if not row["alone"] and not row["kept"]
    ]
    found += [
        f"false alarm of {row['claim']}, batch {row['batch']}, pair {row['pair']}: {row['message']}"
        for row in made.get("false-alarms", {}).get("alarms", ())
    ]
    found += [
        f"the truth is outside the bar: {row['quantity']} of {row['name']}, {row['score']:.3g} times"
        for row in made.get("bars", {}).get("outside_rows", ())
    ]
    return found + hard.bad(made.get("hard", {})) + planted.bad(made.get("planted", {}))


def write(found: Mapping[str, Sequence[Row]], made: Mapping[str, Any], folder: Path) -> None:
    """selftest.md, selftest.json, a parquet table for each part, and the curve."""
    from . import curve
    from . import markdown as words

    pd: Any = import_module("pandas")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "selftest.md").write_text(words.to_markdown(made, found), encoding="utf-8")
    text = json.dumps(made, indent=1, ensure_ascii=False, default=str)
    (folder / "selftest.json").write_text(text + "\n", encoding="utf-8")
    for part, rows in found.items():
        write_table(folder / f"selftest-{part}.parquet", pd.DataFrame(list(rows)))
    if "discernment" in found:
        curve.draw(found["discernment"], folder / "selftest.svg")
