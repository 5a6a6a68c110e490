"""What a subject does is its own record and nobody else's: exits, hangs, stops, exceptions of exceptions, switches."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

import pytest

from odecheck import Record, Verdict, pairs
from odecheck.runner.case import plan
from odecheck.runner.run import Limits, run_units

MODELS = """
import os, signal, sys, time, torch
from torch import nn

class Good(nn.Module):
    example_state = torch.tensor([[1.0, 0.5]])
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
    def forward(self, t, y):
        self.do(t, y)
        return torch.tanh(self.layer(y))
    def do(self, t, y):
        pass

class Leaves(Good):
    def do(self, t, y): sys.exit(0)

class Vanishes(Good):
    def do(self, t, y): os._exit(0)

class Stops(Good):
    def do(self, t, y): os.kill(os.getpid(), signal.SIGSTOP)

class Hangs(Good):
    def do(self, t, y):
        while True: time.sleep(0.01)

class Mute(Exception):
    def __str__(self): raise RuntimeError("says nothing")

class Late(Good):
    def do(self, t, y):
        if t > 0.5: raise Mute

class Half(Good):
    def do(self, t, y): raise ValueError("half a character \\ud800")

class Ends(Good):
    def do(self, t, y): raise KeyboardInterrupt

class Other(BaseException): pass

class Based(Good):
    def do(self, t, y): raise Other("of its own kind")

class Changes(Good):
    def do(self, t, y):
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float16)
        torch.autograd.grad = torch.Tensor.backward = None

class Shape(Good):
    def forward(self, t, y): return super().forward(t, y)[..., :1]

class Nan(Good):
    def forward(self, t, y): return super().forward(t, y) / 0 * 0

class Alters(Good):
    def do(self, t, y): y.add_(1.0)

torch.manual_seed(0)
names = [cls for cls in list(globals().values()) if isinstance(cls, type) and issubclass(cls, Good) and cls is not Good]
made = {cls.__name__: cls() for cls in names}
good, last = Good(), Good()
last.__class__ = type("Last", (Good,), {"__module__": __name__, "__qualname__": "Last"})
Last = type(last)

def around(*bad):
    return [good, *(made[name] for name in bad), last]

quick = around("Leaves", "Vanishes", "Late", "Half", "Ends", "Based", "Changes", "Shape", "Nan", "Alters")
few = around("Vanishes", "Changes", "Shape")
slow = [made["Stops"], made["Hangs"]]
"""
CLAIMS = ["SOL-1", "NODE-2"]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("models") / "models_that_harm.py"
    file.write_text(MODELS)
    return file


def of_each(models: Path, name: str, claims: Sequence[str] = CLAIMS, **how) -> dict[str, list[str]]:
    """Model → the messages of its records, where they are errors, or their verdicts."""
    # the first of two engines; the command line as well reads targets with limits, and calls their fields elsewhere
    units = plan(pairs([f"{models}:{name}"], limits=how.get("limits") or Limits())[::2], None, claims)
    found: dict[str, list[str]] = {}
    for record in run_units(units, isolated=True, **how):
        said = record.message if record.verdict is Verdict.ERROR else str(record.verdict)
        found.setdefault(record.problem.split()[0], []).append(said)
        assert record.claim in claims and record.ok is (record.verdict is not Verdict.ERROR)
    assert all(len(records) == len(claims) for records in found.values())
    return found


@contextmanager
def cluster(*, processes: bool) -> Iterator[Executor]:
    """Two workers: processes with a nanny, or threads of this process."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, processes=processes) as own,
        distributed.Client(own) as client,
    ):
        yield client.get_executor()


@pytest.mark.parametrize("workers", [1, 2])
def test_each_has_its_own_records_and_its_neighbours_have_theirs(models, workers):
    found = of_each(models, "quick", workers=workers)
    assert len(found) == 12
    _has_its_own(found)


def test_each_has_its_own_on_a_cluster_whose_worker_is_killed(models):
    with cluster(processes=True) as executor:
        victim = executor.submit(os.getpid).result()
        killed = list[Record]()

        def kill(record: Record) -> None:
            if not killed:
                os.kill(victim, signal.SIGKILL)
            killed.append(record)

        _has_its_own(of_each(models, "few", executor=executor, progress=kill))


def test_limits_are_kept_by_a_worker_that_is_a_thread(models):
    with cluster(processes=False) as executor:
        late = of_each(models, "slow", ["NODE-2"], executor=executor, limits=Limits(seconds=1.0, grace=0.5))
        assert all("no answer within 1 seconds" in said for name in ("Stops", "Hangs") for said in late[name])


def _has_its_own(found: dict[str, list[str]]) -> None:
    assert found.pop("Good") == found.pop("Last") == ["not applicable", "holds"]
    words = {
        "Leaves": "SystemExit(0)",
        "Vanishes": "left with status 0",
        "Late": "a Mute whose text raises RuntimeError",
        "Half": "half a character ?",
        "Ends": "KeyboardInterrupt",
        "Based": "Other: of its own kind",
        "Changes": "",
        "Shape": "refused: the field returned shape",
        "Nan": "refused: NaN or infinity at the start",
        "Alters": "refused: ",
    }
    assert set(found) <= set(words) and len(found) >= 3
    assert [name for name in found if not all(words[name] in said for said in found[name])] == []


def test_time_is_kept_from_outside(models):
    found = of_each(models, "slow", ["NODE-2"], limits=Limits(seconds=1.0, grace=0.5), workers=2)
    assert all("no answer within 1 seconds" in said for name in ("Stops", "Hangs") for said in found[name])
