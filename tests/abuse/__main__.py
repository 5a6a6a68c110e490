"""The abuse battery: command lines, models, folders, kills and bytes that nobody would want; and its report.

python -m tests.abuse                        1,000 lines, 200 models, 100 folders, 50 kills, 100 flips: about an hour
python -m tests.abuse --lines 50 --models 0  fewer of them
python -m tests.abuse --resume               goes on with the journals in --run
python -m tests.abuse --write reports        also writes abuse.md and abuse.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from odecheck.errors import BadInput
from odecheck.foreign import code
from odecheck.records.run_folder import about
from odecheck.selftest.journal import Piece, spent, through
from tests.abuse import child, folders, kept, kills, lines, models

Row = dict[str, Any]
SIDE_BY_SIDE = 8
WORDS = {
    "lines": "command lines drawn from the commands' own declarations",
    "models": "models that harm, eight in a file between two good ones",
    "folders": "damaged folders, each read by four commands",
    "kills": "kills of a run, gone on with",
    "flips": "flipped bits of kept files",
}


def battery(
    amounts: Mapping[str, int], seed: int, run: Path, *, resume: bool = False, seconds: float = 20.0
) -> dict[str, list[Row]]:
    """The rows of each part. seconds: what one case of a model may take; 0: models that end by themselves, any time."""
    child.warm()
    run.mkdir(parents=True, exist_ok=True)
    whole, work = kept.everything(run / "kept"), run.absolute() / "work"
    parts: dict[str, tuple[Callable[[Any], list[Row]], Callable[[int], Any], int]] = {
        "lines": (lines.judged, lambda n: (n, str(work), str(whole / "run")), 1),
        "models": (models.judged, lambda n: (n, SIDE_BY_SIDE, seconds, str(work)), SIDE_BY_SIDE),
        "folders": (folders.judged, lambda n: (n, str(work), str(whole / "run")), 1),
        "kills": (kills.judged, lambda n: (n, str(work)), 1),
        "flips": (folders.flipped, lambda n: (n, str(work), str(whole)), 1),
    }
    found: dict[str, list[Row]] = {}
    for name, (judge, argument, size) in parts.items():
        count = -(-amounts.get(name, 0) // size)
        pieces = [Piece(f"{name} {seed + n}", argument(seed + n)) for n in range(count)]
        facts = {"part": name, "seed": seed}
        rows = through(pieces, judge, run / f"{name}.jsonl", facts, resume=resume, progress=_said) if pieces else {}
        found[name] = [row for piece in rows.values() for row in piece]
    return found


def _said(key: str) -> None:
    print(key, file=sys.stderr, flush=True)


def summary(found: Mapping[str, Sequence[Row]], run: Path) -> dict[str, Any]:
    """Counts and failures of each part, and the commits that its pieces in `run` are of: it may have been resumed."""
    return {
        name: {
            "what": WORDS[name],
            "judged": len(rows),
            "failed": sum(bool(row["wrong"]) for row in rows),
            "failures": [row for row in rows if row["wrong"]],
            "commits": spent(run / f"{name}.jsonl")["commits"],
        }
        for name, rows in found.items()
        if rows
    }


def markdown(made: Mapping[str, Any]) -> str:
    """The report as a page."""
    text = [
        "# The abuse battery",
        "",
        "What nobody would type, write or keep on purpose: every line, model, folder, kill and bit has to end in a "
        "record, a refusal in words or the right answer, with a status that is true, no neighbour lost, nothing left "
        "running and nothing of somebody else's run. By `python -m tests.abuse`.",
        "",
        "| part | judged | failed | at |",
        "|---|---:|---:|---|",
        *(
            f"| {part['what']} | {part['judged']:,} | {part['failed']:,} | {', '.join(part['commits'])} |"
            for part in made.values()
        ),
    ]
    for part in made.values():
        if part["failures"]:
            text += ["", f"## {part['what']}", ""]
            text += [f"- `{code(row['what'])}`: {code('; '.join(row['wrong']))}" for row in part["failures"][:50]]
    return "\n".join(text) + "\n"


def main() -> int:
    """Status 0: nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.abuse", description=(__doc__ or "").splitlines()[0])
    for name, count in (("lines", 1000), ("models", 200), ("folders", 100), ("kills", 50), ("flips", 100)):
        parser.add_argument(f"--{name}", type=int, default=count, help=WORDS[name])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0, help="what one case of a model may take")
    parser.add_argument("--run", type=Path, default=Path("runs/abuse"))
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    amounts = {name: getattr(asked, name) for name in WORDS}
    facts = {key: about({}, seed=asked.seed)[key] for key in ("versions", "platform", "started", "seed")}
    try:
        made = summary(battery(amounts, asked.seed, asked.run, resume=asked.resume, seconds=asked.seconds), asked.run)
    except BadInput as refused:
        print(refused, file=sys.stderr)
        return 2
    print(markdown(made))
    if asked.write:
        asked.write.mkdir(parents=True, exist_ok=True)
        (asked.write / "abuse.md").write_text(markdown(made), encoding="utf-8")
        (asked.write / "abuse.json").write_text(json.dumps({"facts": facts, **made}, indent=1) + "\n")
    return int(any(part["failed"] for part in made.values()))


if __name__ == "__main__":
    sys.exit(main())
