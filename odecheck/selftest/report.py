"""The selftest in words: Markdown, JSON, tables and the curve of discernment, made of the journals' rows."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..claims import ALL
from . import bars, discernment, false_alarms
from .explained import SURVIVORS, why_kept
from .journal import Row
from .mutation import ERROR, HUNG, REFUTED, SURVIVED, UNDECIDED, VOID

NOTICED = (ERROR, HUNG)
HEAD = """# How far odecheck can be trusted

Made by `odecheck selftest --write reports`. Every figure is of the run that the last lines name.
"""


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
        for claim in ALL
    ]


def summary(found: Mapping[str, Sequence[Row]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the report says, as JSON. found: rows by part; a part that was not run is absent."""
    made: dict[str, Any] = {"facts": dict(facts)}
    if "mutants" in found:
        rows = found["mutants"]
        made["mutants"] = {
            **score(rows),
            "drawn_from": facts.get("drawn_from"),
            "unreached": facts.get("unreached"),
            "claims": killers(rows),
            "unexplained_mutants": unexplained(rows),
        }
    if "false-alarms" in found:
        rows = found["false-alarms"]
        made["false-alarms"] = {
            "rows": len(rows),
            "judged": sum(r["verdict"] in false_alarms.JUDGED for r in rows),
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
    if "discernment" in found:
        made["discernment"] = list(found["discernment"])
    return made


def bad(made: Mapping[str, Any]) -> list[str]:
    """What makes the selftest fail, in words; empty when all is well."""
    found: list[str] = []
    for row in made.get("mutants", {}).get("unexplained_mutants", ()):
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
    if made.get("bars", {}).get("outside"):
        found.append(f"the truth is outside {made['bars']['outside']} bars")
    return found


# --- words -------------------------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    cells = [[_cell(x) for x in row] for row in rows]
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in cells),
        "",
    ]


def _cell(x: Any) -> str:
    if isinstance(x, float):
        return "" if math.isnan(x) else "none" if math.isinf(x) else f"{x:.2g}"
    return str(x).replace("|", "\\|").replace("\n", " ")


def _mutants(made: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    lines = [
        "## Mutation score",
        "",
        f"{made['mutants']} mutants: {made['refuted']} refuted, {made['ended_with_an_error']} ended with an "
        f"error, "
        f"{made['hung']} ended by their time limit, {made['explained']} survive for a written reason, "
        f"**{made['unexplained']} unexplained**; score {made['score']:.1%} "
        "(refuted of refuted and unexplained).",
        "",
    ]
    if made["drawn_from"]:
        lines += [
            f"Mutants of the source are drawn from the {made['drawn_from']} whose line the battery executes; "
            f"{made['unreached']} more are on lines that it does not execute (input checks, other number types, "
            "event handling), and are judged by no claim.",
            "",
        ]
    kinds = sorted({(r["part"], r["family"]) for r in rows})
    lines += _table(
        ("part", "family", "mutants", "refuted", "error", "survived"),
        [
            (
                part,
                family,
                sum(r["status"] != VOID for r in these),
                *(sum(r["status"] in s for r in these) for s in ((REFUTED,), NOTICED, (SURVIVED, UNDECIDED))),
            )
            for part, family in kinds
            for these in [[r for r in rows if (r["part"], r["family"]) == (part, family)]]
        ],
    )
    lines += ["Claims. *Alone*: mutants that no other of the claims that judged them refutes.", ""]
    lines += _table(
        ("claim", "refuted", "alone", "kept although it refutes none alone"),
        [(r["claim"], r["refuted"], r["alone"], r["kept"]) for r in made["claims"]],
    )
    left = [r for r in rows if r["status"] in (SURVIVED, UNDECIDED)]
    lines += (
        [
            "Survivors.",
            "",
            *_table(
                ("mutant", "family", "why"),
                [(r["mutant"], r["family"], SURVIVORS.get(r["mutant"], "**unexplained**")) for r in left],
            ),
        ]
        if left
        else []
    )
    return lines


def _alarms(made: Mapping[str, Any]) -> list[str]:
    verdicts = ("holds", "refuted", "inconclusive", "not applicable", "unsupported", "error")
    return [
        "## False alarms",
        "",
        f"**{len(made['alarms'])}** in {made['rows']} rows (subject, problem, claim) of correct subjects; "
        f"{made['judged']} came to a verdict ({made['distinct_judged']} different ones), on {made['problems']} "
        f"problems and {made['subjects']} subjects. {made['known_findings']} rows are known findings, and no "
        "alarms: derivatives of steps that no tolerance refines, times of fixed steps.",
        "",
        *_table(
            ("claim", *verdicts),
            [(name, *(count.get(v, 0) for v in verdicts)) for name, count in made["claims"].items()],
        ),
        *(f"- {r['message']}" for r in made["alarms"]),
    ]


def _bars(made: Mapping[str, Any]) -> list[str]:
    return [
        "## Error bars of the reference",
        "",
        f"{made['problems']} problems (of {made['drawn']} drawn; the flow of the others ends) with a closed form "
        f"or a truth to 30 digits: {made['outside']} of {made['rows']} quantities outside their bar; "
        f"in the median the bar is {made['median']:.3g} times the largest true error.",
        "",
        *_table(
            ("quantity", "rows", "outside", "largest error / bar", "bar / error, 1 %", "median", "99 %"),
            [tuple(row.values()) for row in made["quantities"]],
        ),
    ]


def _discernment(rows: Sequence[Row]) -> list[str]:
    ours = [r for r in rows if r["test"] not in discernment.OTHERS]
    head = ("claim", "defect in", "engine", *(f"rtol {x:g}" for x in discernment.TOLERANCES))
    keys = sorted({(r["test"], r["part"], r["engine"]) for r in ours})
    at = {(r["test"], r["part"], r["engine"], r["rtol"]): r["smallest_refuted"] for r in ours}
    none = float("nan")
    table = [(*key, *(at.get((*key, x), none) for x in discernment.TOLERANCES)) for key in keys]
    lines = [
        "## Discernment",
        "",
        "The smallest ε for which a derivative times 1 + ε is refuted (*none*: not even 1 + 10), on one small "
        "non-autonomous network; none as well where the rungs of the solver do not contract, so that no bar is "
        "known. Claims, dopri8 landing on its outputs:",
        "",
        *_table(head, table),
        "What is done instead:",
        "",
        *_table(
            ("test", "defect in", "the right derivative", "smallest ε refuted"),
            [
                (r["test"], r["part"], r["verdict"], r["smallest_refuted"])
                for r in rows
                if r["test"] in discernment.OTHERS
            ],
        ),
        "![the curve](selftest.svg)",
        "",
    ]
    return lines


def to_markdown(made: Mapping[str, Any], found: Mapping[str, Sequence[Row]]) -> str:
    lines = [HEAD]
    if made["facts"].get("so_far"):
        lines += ["**Of an unfinished run**: `--so-far` reports what its journals hold. A claim that refuted nothing "
                  "here may not have been asked yet.", ""]  # fmt: skip
    if "mutants" in made:
        lines += _mutants(made["mutants"], found["mutants"])
    if "false-alarms" in made:
        lines += _alarms(made["false-alarms"])
    if "bars" in made:
        lines += _bars(made["bars"])
    if "discernment" in made:
        lines += _discernment(made["discernment"])
    facts = made["facts"]
    lines += ["## The run", "", f"seed {facts['seed']}; " + ", ".join(f"{k} {v}" for k, v in facts["versions"].items())]
    return "\n".join(lines) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """The curve: the smallest defect refuted against the solver's tolerance, and the other tests as lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    ours = [r for r in rows if r["test"] in ("NODE-1", "NODE-2", "NODE-3")]
    styles = {"NODE-1": "-", "NODE-2": "--", "NODE-3": ":"}
    for number, engine in enumerate(discernment.ENGINES):
        for test, style in styles.items():
            mine = sorted(
                (r["rtol"], r["smallest_refuted"]) for r in ours if (r["test"], r["engine"]) == (test, engine)
            )
            if mine:
                axes.plot(
                    *zip(*mine, strict=True),
                    style,
                    color=f"C{number}",
                    marker=".",
                    label=f"{engine}, {test}" if style == "-" else None,
                )
    for name in discernment.OTHERS:
        seen = [r["smallest_refuted"] for r in rows if r["test"] == name and math.isfinite(r["smallest_refuted"])]
        if seen:
            axes.axhline(max(seen), color="0.4", linewidth=0.8)
            axes.annotate(name, (max(discernment.TOLERANCES), max(seen)), fontsize=7, ha="right", va="bottom")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="rtol of the solver (first of three rungs)",
        ylabel="smallest relative defect refuted",
    )
    axes.legend(fontsize=7, title="dashed: NODE-2, dotted: NODE-3", title_fontsize=7)
    figure.savefig(path, metadata={"Date": None})


def write(found: Mapping[str, Sequence[Row]], made: Mapping[str, Any], folder: Path) -> None:
    """selftest.md, selftest.json, a parquet table for each part, and the curve."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "selftest.md").write_text(to_markdown(made, found), encoding="utf-8")
    text = json.dumps(made, indent=1, ensure_ascii=False, default=str)
    (folder / "selftest.json").write_text(text + "\n", encoding="utf-8")
    for part, rows in found.items():
        pd.DataFrame(list(rows)).to_parquet(folder / f"selftest-{part}.parquet", index=False)
    if "discernment" in found:
        draw(found["discernment"], folder / "selftest.svg")
