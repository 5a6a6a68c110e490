"""Models that harm: each does one thing, at one place of its life; good ones stand before and after them."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from pathlib import Path
from typing import Any

from odecheck.records.run_folder import read
from tests.abuse.child import run, troubles

# what is done; {canary} is a file that nobody may write
DEEDS = {
    "leaves": "sys.exit(0)",
    "vanishes": "os._exit(0)",
    "vanishes with 1": "os._exit(1)",
    "is killed": "os.kill(os.getpid(), 9)",
    "crashes": "ctypes.string_at(0)",
    "aborts": "os.abort()",
    "stops": "os.kill(os.getpid(), signal.SIGSTOP)",
    "hangs": "time.sleep(1e6)",
    "spins": "exec('while True: pass')",
    "swallows": "swallow()",
    "does not stop": "sum(itertools.repeat(1))",
    "raises": "raise ValueError('no')",
    "raises mutely": "raise Mute",
    "raises half a character": r"raise ValueError('\ud800 \x1b]0;x\x07')",
    "raises much": "raise ValueError('x' * 10**7)",
    "raises a base": "raise Base('no')",
    "interrupts": "raise KeyboardInterrupt",
    "recurses": "again()",
    "stops iterating": "raise StopIteration",
    "takes memory": "KEPT.append(bytearray(2**40))",
    "takes more memory": "KEPT.append(torch.empty(2**38))",
    "no gradients": "torch.set_grad_enabled(False)",
    "half floats": "torch.set_default_dtype(torch.float16)",
    "no backward": "setattr(torch.Tensor, 'backward', None)",
    "other autograd": "setattr(torch.autograd, 'grad', lambda *a, **k: None)",
    "other odeint": "setattr(__import__('torchdiffeq'), 'odeint', lambda f, y, t, **k: torch.stack([y] * len(t)))",
    "other errors": "(warnings.simplefilter('error'), np.seterr(all='raise'))",
    "other seeds": "(torch.seed(), random.seed(), np.random.seed())",
    "other folder": "os.chdir('/')",
    "no environment": "os.environ.clear()",
    "many threads": "torch.set_num_threads(8)",
    "a thread": "few(lambda: threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start())",
    "a process": "few(lambda: subprocess.Popen(['sleep', '1000']))",
    "a process of its own": "few(lambda: subprocess.Popen(['sleep', '1000'], process_group=0))",
    "no streams": "setattr(sys, 'stdout', None)",
    "prints": r"print('\x1b]0;x\x07' * 100)",
    "closes": "os.closerange(1, 3)",
    "no alarm": "(signal.signal(signal.SIGALRM, signal.SIG_IGN), time.sleep(1e6))",
    "inference": "torch.inference_mode(True).__enter__()",
    "a mode": "torch.device('meta').__enter__()",
    "changes its input": "[a.add_(1) for a in args if isinstance(a, torch.Tensor) and a.ndim == 2]",
}
ENDLESS = ("stops", "hangs", "spins", "swallows", "does not stop", "no alarm")
# where it is done: in a call at any time, late, with gradients, or when the model is sent, copied or read
PLACES = ("call", "late", "gradients", "sent", "shape", "state")
MODULE = """
import ctypes, itertools, os, random, signal, subprocess, sys, threading, time, warnings
import numpy as np
import torch
from torch import nn

KEPT = []

class Mute(Exception):
    def __str__(self): raise Mute

class Base(BaseException): pass

def again(): again()

def few(make):
    if len(KEPT) < 3: KEPT.append(make())

def swallow():
    while True:
        try: time.sleep(0.1)
        except BaseException: pass

class Good(nn.Module):
    example_state = torch.tensor([[1.0, 0.5]])
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
    def forward(self, t, y):
        return torch.tanh(self.layer(y))

class Last(Good): pass
torch.manual_seed(0)
good, last = Good(), Last()
"""
BAD = """
class Bad{n}(Good):
    def do(self, *args): {deed}
    {place}
bad{n} = Bad{n}()
"""
BODIES = {
    "call": "def forward(self, t, y): self.do(y); return super().forward(t, y)",
    "late": "def forward(self, t, y): t > 0.5 and self.do(y); return super().forward(t, y)",
    "gradients": "def forward(self, t, y): y.requires_grad and self.do(y); return super().forward(t, y)",
    "sent": "def __setstate__(self, state): super().__setstate__(state); os.getpid() == HERE or self.do()",
    "shape": "def forward(self, t, y): self.do(y); return super().forward(t, y)[..., :1]",
    "state": "def forward(self, t, y): self.do(y); return super().forward(t, y) + 0 / torch.zeros(())",
}
CLAIMS = ("SOL-1", "SOL-9")


def drawn(seed: int, count: int, patient: bool = True) -> list[tuple[str, str]]:
    """Deeds and places, all of them in turn; with patience also those that have to be waited for."""
    every = [(place, deed) for place, deed in itertools.product(PLACES, DEEDS) if patient or deed not in ENDLESS]
    random.Random(0).shuffle(every)
    chosen = (every[(seed * count + i) % len(every)] for i in range(count))
    return [(deed, place) for place, deed in chosen]


def judged(argument: tuple[int, int, float, str]) -> list[dict[str, Any]]:
    """A row for each bad model of one file.

    argument: seed, how many, seconds of a case (0: any, for models that end by themselves), folder to work in.
    """
    seed, count, seconds, where = argument
    folder = Path(where)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    chosen = drawn(seed, count, patient=seconds > 0)
    bad = [BAD.format(n=n, deed=DEEDS[deed], place=BODIES[place]) for n, (deed, place) in enumerate(chosen)]
    names = ", ".join(f"bad{n}" for n in range(count))
    text = f"{MODULE}\nHERE = os.getpid()\n{''.join(bad)}\nsubjects = [good, {names}, last]\n"
    (folder / "models_drawn.py").write_text(text)
    typed = ["verify", "models_drawn.py:subjects", "--claim", ",".join(CLAIMS), "--run", "run", "--junit", "j.xml"]
    typed += ["--memory", "8", "--workers", "2", "--json", "r.json"]
    typed += ["--timeout", str(seconds)] if seconds else []
    patience = 300 + 8 * count * len(CLAIMS) * (seconds + 6)
    outcome = run(typed, folder, works=patience, hangs=patience + 10)
    wrong = troubles(outcome, folder / "canary")
    rows = [{"what": f"{deed}, {place}", "wrong": []} for deed, place in chosen]
    try:
        _, records = read(folder / "run")
        written = json.loads((folder / "r.json").read_text())["records"]
    except (OSError, ValueError) as error:
        wrong.append(f"no records: {error}")
        records, written = [], []
    of: dict[str, list[Any]] = {}
    for record in records:
        of.setdefault(record.problem.split()[0], []).append(record)
    for n, row in enumerate(rows):
        if len(of.get(f"Bad{n}", ())) != 2 * len(CLAIMS):
            row["wrong"].append(f"{len(of.get(f'Bad{n}', ()))} records of {2 * len(CLAIMS)}")
    for name in ("Good", "Last"):
        told = [str(record.verdict) for record in of.get(name, ())]
        if told != ["not applicable", "holds"] * 2:
            wrong.append(f"a neighbour is lost: {name} {told} {[r.message[:100] for r in of.get(name, ())]}")
    failed = any(not record.ok for record in records)
    if outcome.status not in ((1, 2) if failed else (0,)) or len(written) != len(records):
        wrong.append(f"status {outcome.status}, {len(written)} of {len(records)} records in JSON")
    shutil.rmtree(folder)
    return [*rows, {"what": f"{count} models side by side", "wrong": wrong, "seconds": outcome.seconds}]
