"""The selftest in words: one page of Markdown, the scores first, long tables folded."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from . import by_kinds, discernment, hard, operators, planted
from .exemptions import SURVIVORS
from .journal import Row
from .mutation import ERROR, HUNG, REFUTED, SURVIVED, UNDECIDED, VOID
from .other_tests import OTHERS

FOLDED = re.compile(r"<details><summary>(.*?)</summary>.*?</details>\n", re.DOTALL)
LEFT = (SURVIVED, UNDECIDED)
NOTICED = (ERROR, HUNG)
HEAD = """# How far odecheck can be trusted

Made by `odecheck selftest --write reports`. Every figure is of the run that the last section names.
"""
# the tolerance at which the page's first table says what is discerned
AT = 1e-8


def to_markdown(made: Mapping[str, Any], found: Mapping[str, Sequence[Row]]) -> str:
    """The page. found: the rows by part, of which `made` is the summary."""
    lines = [HEAD, *_scores(made)]
    if "mutants" in made:
        lines += _mutants(made["mutants"], found["mutants"])
    if "kinds" in made:
        text, head, rows = by_kinds.words(made["kinds"])
        lines += ["## Mistakes by kinds", "", text, "", *_table(head, rows)]
    if "false-alarms" in made:
        lines += _alarms(made["false-alarms"])
    if "bars" in made:
        lines += _bars(made["bars"])
    if "hard" in made:
        text, head, rows = hard.words(made["hard"])
        lines += ["## Hard problems", "", text, "", *_table(head, rows)]
    if "planted" in made:
        text, head, rows = planted.words(made["planted"])
        lines += ["## What would have been seen", "", text, "", *_table(head, rows)]
    if "discernment" in made:
        lines += _discernment(made["discernment"])
    return "\n".join([*lines, *_run(made["facts"])]) + "\n"


def _scores(made: Mapping[str, Any]) -> list[str]:
    rows: list[tuple[str, str, str]] = []
    asked = {name: part.get("asked") for name, part in made["facts"].get("parts", {}).items()}
    if of := made.get("mutants"):
        rows += [
            (
                "deliberate mistakes that a claim refutes",
                f"**{of['refuted']} of {of['refuted'] + of['unexplained']}** ({of['score']:.1%}); {of['explained']} "
                f"more survive for a written reason, {of['ended_with_an_error'] + of['hung']} end in an error",
                "all",
            ),
        ]
    if of := made.get("kinds"):
        rows += [
            (
                "wrong subjects by kinds that a claim refutes",
                f"**{of['refuted']} of {of['refuted'] + of['unexplained']}**",
                "all",
            )
        ]
    if of := made.get("false-alarms"):
        wanted = f"0 in {asked['false-alarms']:,}" if asked.get("false-alarms") else "0"
        rows += [("false alarms of correct subjects", f"**{len(of['alarms'])}** in {of['judged']:,} rows", wanted)]
    if of := made.get("bars"):
        wanted = f"0 in {asked['bars']:,}" if asked.get("bars") else "0"
        median = "" if of["median"] is None else f"**{of['median']:.3g}**"
        rows += [
            (
                "problems whose truth is outside the reference's bar",
                f"**{of['problems_outside']}** of {of['problems']:,}",
                wanted,
            ),
            ("bar / true error, in the median", median, "at most 100"),
        ]
    if of := made.get("hard"):
        refused = f", {of['refused']} refused"
        rows += [("the same of hard problems", f"**{of['outside']}** of {of['problems']:,}{refused}", "0")]
    if of := made.get("planted"):
        told = f"**{of['refuted']} of {of['records']}**"
        rows += [("defects of twice what a record would have seen that are refuted", told, "all")]
    for row in made.get("discernment", ()):
        if row["test"] == "NODE-2" and row["engine"] == "odecheck.odeint" and row["rtol"] == AT:
            rows += [
                (
                    f"smallest relative defect of dL/dθ that is refuted, odecheck.odeint at rtol {AT:g}",
                    f"**{row['smallest_refuted']:.2g}**",
                    "",
                )
            ]
        if row["test"] == "gradcheck, defaults" and row["part"] == "theta":
            rows += [("the same by `torch.autograd.gradcheck` with its defaults", _cell(row["smallest_refuted"]), "")]
    return [*_table(("", "measured", "aim"), rows), *_unfinished(made)]


def _unfinished(made: Mapping[str, Any]) -> list[str]:
    if not made["facts"].get("so_far"):
        return []
    return [
        "Of the journals of runs that may not be finished: how much was asked for stands under *aim*. A claim that "
        "refuted nothing here may not have been asked yet.",
        "",
    ]


def _mutants(made: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    alive = [r for r in rows if r["status"] != VOID]
    answers = [r for r in alive if r["part"] in operators.PARTS]
    named = [r for r in alive if r["part"] == "subject"]
    source = [r for r in alive if r["part"] not in (*operators.PARTS, "subject")]
    lines = [
        "## Mutation score",
        "",
        f"{made['mutants']} mutants: {made['refuted']} refuted, {made['ended_with_an_error']} ended with an "
        f"error, {made['hung']} ended by their time limit, {made['explained']} survive for a written reason, "
        f"**{made['unexplained']} unexplained**. The score is refuted / (refuted + unexplained): an error ends a "
        "program and hides nothing, but is no refutation.",
        "",
        *_survivors(rows),
    ]
    if source:
        lines += [
            "One mistake in odecheck's own source, by package and family: how many do not survive, of how many; "
            "where one number stands, none survives.",
            "",
            *_pivot(source, "package"),
        ]
    if made["drawn_from"]:
        asked = made.get("source_mutants_asked")
        lines += [
            *([f"{len(source)} were judged of {asked} asked for."] if asked else []),
            f"They are drawn from the {made['drawn_from']:,} mutants whose line the battery executes, every "
            f"module and family in turn. {made['unreached']:,} more are on lines that it does not execute, and "
            "are judged by no claim here: input checks, events, other number types, and what is no vector field "
            "and no solve.",
            "",
            *_unreached(made["unreached_by_module"]),
            *_left_out(made.get("rooms_left_out")),
        ]
    if answers:
        lines += ["One mistake in one part of the answers of odecheck's two engines.", "", *_pivot(answers, "part")]
    if named:
        alive_named = sum(r["status"] == REFUTED for r in named)
        lines += [
            f"Mutants that claims name: {alive_named} of {len(named)} refuted by the battery; each is refuted by "
            "the claim that names it in the tests as well.",
            "",
        ]
    head = ("claim", "refuted", "alone", "kept although it refutes none alone")
    table = _table(head, [(r["claim"], r["refuted"], r["alone"], r["kept"]) for r in made["claims"]])
    alone = sum(bool(r["alone"]) for r in made["claims"])
    lines += [
        f"{alone} of {len(made['claims'])} claims refute a mutant that no other of the claims that judged it "
        "refutes; the others are kept for a reason.",
        "",
        *_folded("What each claim refutes", table),
    ]
    return lines


def _survivors(rows: Sequence[Row]) -> list[str]:
    left = [r for r in rows if r["status"] in LEFT]
    ended = [r for r in rows if r["status"] in NOTICED]
    lines = ["No mutant survives.", ""]
    if left:
        table = [(r["part"], r["mutant"], r["family"], SURVIVORS.get(r["mutant"], "**unexplained**")) for r in left]
        lines = ["### Survivors", "", *_table(("part", "mutant", "family", "why"), table)]
    if ended:
        table = [(r["part"], r["mutant"], r["family"], r["status"], r["message"].strip()[-160:]) for r in ended]
        lines += _folded(
            f"The {len(ended)} that ended with an error or by their limit",
            _table(("part", "mutant", "family", "", "message"), table),
        )
    return lines


def _pivot(rows: Sequence[Row], head: str) -> list[str]:
    """Parts × families: how many, and how many of them are refuted where it is not all."""
    families = list(dict.fromkeys(r["family"] for r in rows))
    parts = list(dict.fromkeys(r["part"] for r in rows))

    def cell(these: Sequence[Row]) -> str:
        dead = sum(r["status"] not in LEFT for r in these)
        return "" if not these else str(dead) if dead == len(these) else f"**{dead}/{len(these)}**"

    def across(mine: Sequence[Row]) -> list[str]:
        return [cell([r for r in mine if r["family"] == family]) for family in families] + [cell(mine)]

    table = [(part, *across([r for r in rows if r["part"] == part])) for part in sorted(parts)]
    return _table((head, *families, "all"), [*table, ("all", *across(rows))])


def _unreached(by_module: Mapping[str, int] | None) -> list[str]:
    if not by_module:
        return []
    table = sorted(by_module.items(), key=lambda item: -item[1])
    return _folded("Mutants that no case of the battery executes, by module", _table(("module", "mutants"), table))


def _left_out(reasons: Mapping[str, str] | None) -> list[str]:
    if not reasons:
        return []
    table = sorted(reasons.items(), key=lambda item: (item[1], item[0]))
    return _folded("Rooms of odecheck that are not mutated, and why", _table(("room", "why"), table))


def _alarms(made: Mapping[str, Any]) -> list[str]:
    verdicts = ("holds", "refuted", "inconclusive", "not applicable", "unsupported", "error")
    table = [(name, *(count.get(v, 0) for v in verdicts)) for name, count in made["claims"].items()]
    return [
        "## False alarms",
        "",
        f"**{len(made['alarms'])}** in {made['judged']:,} rows (subject, problem, claim) of correct subjects that came "
        f"to a verdict, {made['decided']:,} of them to *holds* or, where a sentence is false, *refuted*; "
        f"{made['distinct_judged']:,} are different ones, on {made['problems']:,} drawn problems and "
        f"{made['subjects']} subjects. {made['known_findings']} rows are known findings, and no alarms: derivatives "
        "of steps that no tolerance refines, times of fixed steps.",
        "",
        *_folded("Verdicts by claim", _table(("claim", *verdicts), table)),
        *(f"- {r['message']}" for r in made["alarms"]),
    ]


def _bars(made: Mapping[str, Any]) -> list[str]:
    return [
        "## Error bars of the reference",
        "",
        f"{made['problems']:,} problems (of {made['drawn']:,} drawn; the flow of the others ends) with a closed form "
        f"or a truth to 30 digits: {made['outside']} of {made['rows']:,} quantities outside their bar; "
        f"in the median the bar is {made['median']:.3g} times the largest true error. Each problem is asked for its "
        "solution and loss, and for some of the rest in turn.",
        "",
        *_table(
            ("quantity", "rows", "outside", "largest error / bar", "bar / error, 1 %", "median", "99 %"),
            [tuple(row.values()) for row in made["quantities"]],
        ),
        *(
            f"- outside: {row['quantity']} of {row['name']}, at {row['score']:.3g} times its bar\n"
            for row in made["outside_rows"]
        ),
    ]


def _discernment(rows: Sequence[Row]) -> list[str]:
    ours = [r for r in rows if r["test"] not in OTHERS]
    theirs = [r for r in rows if r["test"] in OTHERS]
    keys = sorted({(r["test"], r["part"], r["engine"]) for r in ours})
    at = {(r["test"], r["part"], r["engine"], r["rtol"]): r["smallest_refuted"] for r in ours}
    table = [(*key, *(at.get((*key, x), math.nan) for x in discernment.TOLERANCES)) for key in keys]
    head = ("claim", "defect in", "engine", *(f"rtol {x:g}" for x in discernment.TOLERANCES))
    return [
        "## Discernment",
        "",
        "The smallest ε for which an answer times 1 + ε is refuted, on one small non-autonomous network; *none*: not "
        "even 1 + 10, because the rungs of the solver do not contract there and no bar is known. What is done instead:",
        "",
        *_table(
            ("test", "defect in", "the right answer", "smallest ε refuted"),
            [(r["test"], r["part"], r["verdict"], r["smallest_refuted"]) for r in theirs],
        ),
        "![the smallest defect refuted against the tolerance](selftest.svg)",
        "",
        "Claims, dopri8 landing on its outputs:",
        "",
        *_table(head, table),
    ]


COMMANDS: Mapping[str, Callable[[Any], str]] = {
    "mutants": lambda asked: f" --mutants {asked}",
    "false-alarms": lambda asked: f" --rows {asked}",
    "bars": lambda asked: f" --problems {asked}",
    "hard": lambda asked: f" --hard {asked}",
    "planted": lambda asked: f" --planted {asked}",
}


def _run(facts: Mapping[str, Any]) -> list[str]:
    rows: list[tuple[str, str, str, str]] = []
    for name, part in facts.get("parts", {}).items():
        amount = COMMANDS[name](part["asked"]) if name in COMMANDS else ""
        command = f"`odecheck selftest --part {name}{amount} --seed {part['seed']}`"
        rows.append((name, command, f"{part['cpu_seconds'] / 60:.1f}", ", ".join(part.get("commits", ()))))
    versions = ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
    machine = f"{facts.get('device', '')}, {facts.get('platform', '')}"
    return [
        "## The run",
        "",
        *_table(("part", "command", "minutes of one core", "commit"), rows),
        f"{versions}; {machine}.",
    ]


def unfolded(page: str) -> str:
    """A page for the terminal: what is folded in it is named, and stands in the file alone.

    Args:
        page: of `to_markdown`.
    """
    return FOLDED.sub(r"*\1*: in selftest.md, which `--write DIR` writes.\n", page)


def _folded(title: str, table: Iterable[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *table, "</details>", ""]


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(_cell(x) for x in row) + " |" for row in rows),
        "",
    ]


def _cell(x: Any) -> str:
    if isinstance(x, float):
        return "" if math.isnan(x) else "none" if math.isinf(x) else f"{x:.2g}"
    return str(x).replace("|", "\\|").replace("\n", " ")
