"""Kept runs that were damaged, or that somebody wrote to do harm: they are refused in words, or read as they are."""

from __future__ import annotations

import json
import os
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from odecheck.errors import BadInput
from odecheck.records.facts import changed, read_facts
from odecheck.records.run_folder import read, read_records
from odecheck.records.summary import identifier
from odecheck.records.table import read_table
from odecheck.training.rows import read as read_training
from tests.abuse.child import run, troubles
from tests.abuse.lines import CANARY, HOSTILE

STRANGE: tuple[Any, ...] = (*HOSTILE, None, [], {}, [[[]]], 1, -1, 10**400, 1e308, float("nan"), True, {"a": {"b": 1}})
JSON = ("run.json", "conformance.json")
TABLES = ("records.parquet", "conformance.parquet")
# files that a command reads of each kind of folder
COMMANDS = (
    ("show", "SOL", "--run", "run"),
    ("report", "run", "--write", "out"),
    ("reproduce", "ROW", "--run", "run", "--write", "bug.py"),
    ("verify", "--claim", "SOL-1,NODE-3", "--problem", "linear", "--subject", "rk4", "--run", "run", "--resume"),
)


def _file(path: Path, rng: random.Random) -> None:
    """Another file, or none, in its place."""
    content = path.read_bytes()
    path.unlink()
    makes: tuple[Callable[[], Any], ...] = (
        lambda: os.mkfifo(path),
        lambda: path.symlink_to(path.name),
        path.mkdir,
        lambda: path.write_bytes(b""),
        lambda: path.write_bytes(content[: rng.randrange(len(content))]),
        lambda: path.write_bytes(rng.randbytes(500)),
        lambda: path.write_text("[" * 100_000),
        lambda: path.write_text('{"schema": 1}'),
        lambda: None,
    )
    rng.choice(makes)()


def _facts(path: Path, rng: random.Random) -> None:
    """One fact of a run is strange, deeper down or at the top, and the checksum is left or made anew."""
    known = json.loads(path.read_text())
    at = known
    while isinstance(at, dict) and at:
        key = rng.choice(sorted(at))
        if isinstance(at[key], dict) and at[key] and rng.random() < 0.7:
            at = at[key]
            continue
        at[key] = rng.choice(STRANGE)
        break
    if rng.random() < 0.7:
        known.pop("checksum", None)
        known["schema"] = 1
        known.pop("digest", None)
    path.write_text(json.dumps(known))


def _row(path: Path, rng: random.Random) -> None:
    """One column of a table is strange, or missing, or one too many."""
    frame = pd.read_parquet(path)
    column = rng.choice(list(frame.columns))
    value = rng.choice(STRANGE)
    values = [value if i % 2 == 0 else str(value) if rng.random() < 0.5 else value for i in range(len(frame))]
    try:
        frame.assign(**{column: values}).to_parquet(path)
    except Exception:  # pyarrow takes no such column
        try:
            frame.assign(**{column: [repr(v).encode("utf-8", "replace").decode() for v in values]}).to_parquet(path)
        except Exception:
            frame.drop(columns=column).to_parquet(path)


def _lines(path: Path, rng: random.Random) -> None:
    """The table as a journal, with a strange value in a line of it."""
    rows = json.loads(pd.read_parquet(path).to_json(orient="records"))
    path.unlink()
    row = rng.choice(rows)
    row[rng.choice(sorted(row))] = rng.choice(STRANGE)
    lines = [json.dumps(one) for one in rows] + [rng.choice(("3", "[]", '{"a": 1}', "[" * 50_000, "\x00", '"'))]
    path.with_name("journal.jsonl").write_text("\n".join(lines))


def damage(folder: Path, seed: int) -> str:
    """Damage a folder; in words."""
    rng = random.Random(seed)
    name = rng.choice([one.name for one in sorted(folder.iterdir()) if one.name in (*JSON, *TABLES)])
    path = folder / name
    deeds = [_file, _facts] if name in JSON else [_file, _row, _row, *([_lines] if name == TABLES[0] else [])]
    deed = rng.choice(deeds)
    deed(path, rng)
    return f"{deed.__name__.strip('_')} of {name}"


def judged(argument: tuple[int, str, str]) -> list[dict[str, Any]]:
    """A row for each command on a damaged folder. argument: seed, folder to work in, a finished run."""
    seed, where, kept = argument
    place = Path(where)
    shutil.rmtree(place, ignore_errors=True)
    rows = []
    for typed in COMMANDS:
        shutil.copytree(kept, place / "run")
        (place / "torch.py").write_text(f"open({str(place / CANARY)!r}, 'w')")
        ids = [identifier(r) for r in read(kept)[1] if r.verdict == "refuted"]
        ids += list(pd.read_parquet(Path(kept) / TABLES[1])["row"])
        what = damage(place / "run", seed)
        said = [random.Random(seed).choice(ids) if word == "ROW" else word for word in typed]
        outcome = run(said, place, works=60, hangs=120)
        wrong = troubles(outcome, place / CANARY)
        script = place / "bug.py"
        if script.exists():
            compile(script.read_text(), "bug.py", "exec")
            wrong += ["a foreign statement is in the script"] if _runs_it(script) else []
        rows.append({"what": f"{what}: {typed[0]}", "status": outcome.status, "wrong": wrong})
        shutil.rmtree(place)
    return rows


def _runs_it(script: Path) -> bool:
    import ast

    calls = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Call)]
    return any("touch" in ast.unparse(call) for call in calls)


# --- flipped bytes --------------------------------------------------------------------------------------------------


def flipped(argument: tuple[int, str, str]) -> list[dict[str, Any]]:
    """A row for one flipped bit. argument: seed, folder to work in, a folder with kept files of every kind."""
    seed, where, kept = argument
    rng, place = random.Random(seed), Path(where)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(kept, place)
    files = [
        path for path in sorted(place.rglob("*")) if path.is_file() and path.suffix in (".parquet", ".jsonl", ".json")
    ]
    files = [path for path in files if path.suffix != ".json" or path.name == "run.json"]
    path = rng.choice(files)
    before, _ = _believed(path)
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content))
    content[at] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(content))
    after, told = _believed(path)
    strange = [one for one in after if one not in before]
    wrong = ["a flip is believed"] if strange else []
    wrong += ["a loss is not told"] if len(after) < len(before) and not told else []
    shutil.rmtree(place)
    return [{"what": f"{path.relative_to(place)}, byte {at}", "wrong": wrong, "lost": len(before) - len(after)}]


def _believed(path: Path) -> tuple[list[str], bool]:
    """What is believed of a file, and whether something was told."""
    try:
        if path.name == "run.json":
            facts = read_facts(path.parent)
            return ([] if changed(facts) else [json.dumps(facts)]), bool(changed(facts))
        if path.name in ("records.parquet", "journal.jsonl"):
            records, damaged = read_records(path.parent)
            return [repr(record) for record in records], bool(damaged)
        if path.name in ("rows.parquet", "rows.jsonl"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                rows = read_training(path.parents[2]).to_dict("records")
            return [repr(row) for row in rows], path.suffix == ".jsonl"
        found = read_table(path)
        return [] if found.frame is None else [repr(r) for r in found.frame.to_dict("records")], bool(found.damaged)
    except (BadInput, OSError):
        return [], True
