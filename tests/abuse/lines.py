"""Command lines drawn from what the commands declare: every option, with values that nobody means."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from typer.models import OptionInfo

from odecheck.commands.cli import COMMANDS
from odecheck.records.run_folder import read
from odecheck.records.summary import exit_status
from tests.abuse.child import run, troubles

CANARY = "canary"
HOSTILE = (
    "",
    "[/] x",
    "x[/red]y",
    "\x1b]0;title\x07\x1b]52;c;eA==\x07",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"'; import os; os.system('touch {CANARY}'); '",
    f"a\nimport os; os.system('touch {CANARY}')",
    "{{ 7 * 7 }}",
    "%s%n",
    "\u202e",
    "\udcff",
    "-",
    "--",
    "-x",
    "é漢",
    "a" * 3_000,
    "../../..",
    "NUL",
)
INTEGERS = ("0", "-1", "1", "2", "3", "2147483648", "9223372036854775808", "1" + "0" * 400, "1.5", "x", "", "٣")
FLOATS = ("0", "-1", "1", "0.5", "nan", "inf", "-inf", "1e308", "1e-320", "1" + "0" * 400, "x", "")
PLACES = (
    "nowhere",
    "new/folder",
    ".",
    "file.txt",
    "pipe",
    "loop",
    "folder",
    "closed",
    "/dev/null",
    "run",
    "torn",
    "m.py",
)
GOOD = {
    "targets": ("m.py:good", "m.py:bad", "m:good", "m.py", "m.pyc:x", "m.py:nothing", "json:loads", "run"),
    "claim": ("SOL-1", "NODE-2", "SOL-999", "HB", "all", "NODE-*", "solution"),
    "claims": ("NODE-2", "node2", "NODEE-2", "parameter gradient", "*"),
    "names": ("NODE-2", "all", "*-99"),
    "state": (
        "[[1.0, 0.5]]",
        "[[10**400]]",
        f"[[1{'0' * 400}]]",
        "[" * 5_000,
        "[]",
        "1",
        "[[1e400]]",
        "__import__('os')",
    ),
    "times": ("[0, 0.5]", "[0]", "[1, 0]", "[0, 1e308]", "[0, 0]", "nan"),
    "record": ("SOL-1", "3f9a1c", "linear"),
    "row": ("3f9a1c", "", "[", "ffffffff"),
    "task": ("digits", "spheres", "nothing"),
    "libraries": ("scipy", "torchdiffeq==../../m", "torchdiffeq==0.0.0", "nothing", "scipy==1"),
    "commits": ("HEAD", "HEAD~1..HEAD", "..", "--upload-pack=touch canary"),
    "folders": ("run", "torn", "folder"),
    "script": ("m.py", "nothing.py"),
    "seeds": ("1", "0,3", "1e400", "nan", "99999999999", "-1"),
    "rate": ("0.1", "nan,1", "1e999"),
    "quantity": ("solution", "hvp", "nothing"),
    "part": ("bars", "nothing"),
    "tier": ("quick", "full", "slow"),
}
# so that what is let in is little work
NARROW = {
    "verify": ("--claim", "SOL-1", "--problem", "linear", "--subject", "rk4", "--workers", "1"),
    "conformance": ("scipy", "--method", "RK45", "--claim", "SOL-9", "--workers", "1"),
    "cost": ("--problem", "tanh", "--subject", "rk4", "--quantity", "solution", "--repeat", "0", "--rungs", "1"),
    "selftest": ("--part", "bars", "--problems", "1"),
    "train": ("spheres", "--epochs", "1"),
}
MODELS = """
import torch
from torch import nn
class Net(nn.Module):
    example_state = torch.tensor([[1.0, 0.5]])
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
    def forward(self, t, y):
        return torch.tanh(self.layer(y))
class Bad(Net):
    def forward(self, t, y):
        raise SystemExit(0)
torch.manual_seed(0)
good, bad = Net(), Bad()
"""


@dataclass(frozen=True)
class Parameter:
    """One option or argument as a command declares it. typed: how an option is typed; empty for an argument."""

    name: str
    kind: type
    typed: str


def commands() -> dict[str, list[Parameter]]:
    """Each command with what its signature declares."""
    found = {}
    for command in COMMANDS:
        hints = get_type_hints(command, include_extras=True)
        found[command.__name__] = [
            _parameter(name, hint) for name, hint in hints.items() if get_origin(hint) is Annotated
        ]
    return found


def _parameter(name: str, hint: Any) -> Parameter:
    kind, info = get_args(hint)[:2]
    plain = [one for one in get_args(kind) if one is not type(None)] if get_args(kind) else [kind]
    inner = plain[0]
    inner = get_args(inner)[0] if get_args(inner) else inner
    option = isinstance(info, OptionInfo)
    declared = [one for one in info.param_decls or () if one.startswith("--")]
    return Parameter(name, inner, (declared or [f"--{name.replace('_', '-')}"])[0] if option else "")


def place(folder: Path, kept: Path) -> Path:
    """A folder with what the values of places name. kept: the folder of a finished run."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "folder").mkdir(parents=True)
    (folder / "file.txt").write_text("mine\n")
    (folder / "m.py").write_text(MODELS)
    (folder / "m.pyc").write_bytes(b"junk")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "closed").mkdir(mode=0)
    shutil.copytree(kept, folder / "run")
    shutil.copytree(kept, folder / "torn")
    (folder / "torn" / "run.json").write_text("[" * 50_000)
    for name in ("sitecustomize", "torch", "pandas", "numpy", "matplotlibrc", "conftest"):
        (folder / f"{name}.py").write_text(f"open({str(folder / CANARY)!r}, 'w')")
    return folder


def drawn(seed: int) -> list[str]:
    """One command line."""
    rng = random.Random(seed)
    name = rng.choice(sorted(commands()))
    declared = commands()[name]
    typed = [name, *(NARROW.get(name, ()) if rng.random() < 0.8 else ())]
    options = [p for p in declared if p.typed]
    for option in rng.sample(options, min(len(options), rng.choice((0, 1, 1, 2, 3)))):
        typed.append(option.typed)
        typed += [] if option.kind is bool else [_value(rng, option)]
    arguments = [p for p in declared if not p.typed]
    for argument in arguments:
        if name not in NARROW or rng.random() < 0.3:
            typed += [_value(rng, argument) for _ in range(rng.choice((0, 1, 1, 1, 2)))]
    if rng.random() < 0.05:
        rng.shuffle(typed)
    return [one.replace("\0", "") for one in typed]


def _value(rng: random.Random, parameter: Parameter) -> str:
    own = GOOD.get(parameter.name, ())
    numbers = {int: INTEGERS, float: FLOATS}.get(parameter.kind, ())
    if numbers:
        return rng.choice(numbers if rng.random() < 0.9 else HOSTILE)
    if own and rng.random() < 0.6:
        return rng.choice(own)
    return rng.choice(PLACES if rng.random() < 0.6 else HOSTILE)


def judged(argument: tuple[int, str, str]) -> list[dict[str, Any]]:
    """A row for one line: what was typed, and what is wrong. argument: seed, folder to work in, a finished run."""
    seed, where, kept = argument
    folder, typed = place(Path(where), Path(kept)), drawn(seed)
    outcome = run(typed, folder)
    wrong = troubles(outcome, folder / CANARY)
    if typed[0] == "verify" and not outcome.interrupted:
        wrong += list(_lies(typed, folder, outcome.status))
    (folder / "closed").chmod(0o700)
    shutil.rmtree(folder)
    return [{"what": " ".join(typed)[:500], "status": outcome.status, "seconds": outcome.seconds, "wrong": wrong}]


def _lies(typed: list[str], folder: Path, status: int) -> Iterator[str]:
    """A status that is not that of the records that were written."""
    runs = [path.parent for path in folder.rglob("run.json") if path.parent.name not in ("run", "torn")]
    ended = [found for found in map(_read, runs) if found and found[0]["finished"]]
    helps = {"--help", "--plan", "--dry-run"} & set(typed)
    if status == 0 and not ended and not helps and "--resume" not in typed and "run" not in typed:
        yield "status 0, and no run has ended"
    for _, records in ended:
        if status not in (2, 130) and status != exit_status(records, strict="--strict" in typed):
            yield f"status {status}, and the records say {exit_status(records, strict='--strict' in typed)}"


def _read(folder: Path) -> Any:
    try:
        return read(folder)
    except ValueError:
        return None
