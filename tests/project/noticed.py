"""What a project that the files of `additions/` were put into has noticed of them. Run there, as a module.

Each function is of one kind of addition, and fails where a place that should know of it does not. With an argument:
that each of them fails, in a project without the additions.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import odecheck_reference.fields
import pandas as pd
from asv_runner.discovery import disc_benchmarks
from odecheck_reference import Problem, losses
from typer.testing import CliRunner

import odecheck
from odecheck import HOLDS, REFUTED, SHIPPED, Adaptive, Adjoint, Subject, tasks
from odecheck.claim import Claim
from odecheck.claims import ALL
from odecheck.commands.cli import app
from odecheck.conformance.libraries import versions
from odecheck.conformance.matrix import matrix
from odecheck.cost.presets import settings, subjects
from odecheck.engines.found import libraries
from odecheck.fields.from_reference import build
from odecheck.ledger import build as ledger
from odecheck.problem_sets.conformance import network
from odecheck.record import evaluate
from odecheck.report import build as report
from odecheck.reproduce import script
from odecheck.selftest import battery, named, operators
from odecheck.training.loop import Trial, train
from tests import field_zoo
from tests.project import test_docs, test_house

HERE = Path.cwd()
assert Path(odecheck.__file__ or "").is_relative_to(HERE), "another odecheck is imported than that of this folder"


def said(*typed: str) -> str:
    """What a command prints."""
    done = CliRunner().invoke(app, list(typed))
    assert done.exit_code == 0, done.output
    return done.output


def first() -> Claim:
    return next(claim for claim in ALL if claim.id == "FIRST-1")


def cubic() -> Problem:
    """The new field as a problem."""
    (field,) = (field for name, field in field_zoo.FIELDS.items() if name == "cubic")
    loss = losses.SquaredError(np.ones((3, 2, 1)), np.zeros((3, 2, 1)))
    y0, ts = np.array([[1.0], [-0.5]]), np.array([0.0, 0.5, 2.0])
    return Problem("cubic", field, y0=y0, theta=np.array([0.7]), ts=ts, loss=loss)


def mutant() -> None:
    """A claim names it; without that claim it is said; the selftest judges it."""
    assert named.unnamed(battery.CLAIMS) == []
    (idle,) = named.unnamed([claim for claim in battery.CLAIMS if claim.id != "FIRST-1"])
    assert "odecheck.mutants.careless.SHIFTED_SOLUTION" in idle and "what to type" in idle
    assert "every state one per cent off" in operators.of_claims()


def claim() -> None:
    """It is asked, refutes its mutants, has a row of the ledger, and needs its derivation."""
    subject = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Adjoint())
    record = evaluate(first(), subject, cubic())
    assert record.verdict is HOLDS, record
    for wrong in first().mutants:
        assert evaluate(first(), wrong(subject), cubic()).verdict is REFUTED, wrong.name
    listed = said("claims")
    assert "FIRST-1  The first state of a solution is the start." in listed
    assert "has to refute: every state one per cent off" in listed
    assert ledger.papers()["FIRST"] == "A first family"
    assert "A first family" in ledger.to_markdown([ledger.row(first(), [record])])
    test_docs.test_every_claim_has_its_derivation()
    page = HERE / "docs" / "mathematics" / "first.md"
    page.rename(page.with_suffix(".txt"))
    try:
        test_docs.test_every_claim_has_its_derivation()
    except AssertionError:
        page.with_suffix(".txt").rename(page)
    else:
        raise AssertionError("nobody missed the derivation of FIRST-1")


def field() -> None:
    """It is among the examples whose derivatives and twins are tested, and is to be public."""
    assert type(build(cubic().field)).__module__ == "odecheck.fields.cubic"
    modules = field_zoo.files()
    assert field_zoo.without_example(modules) == [] and field_zoo.without_twin({"cubic": cubic().field}) == []
    (to_type,) = field_zoo.not_public(modules, odecheck_reference.fields)
    assert "from .cubic import Cubic" in to_type


def solver() -> None:
    """Subjects take it, and claims about orders ask it."""
    from rk4_of_mine import Rk4OfMine

    subject = Subject(SHIPPED, Rk4OfMine(0.05), Adjoint())
    records = odecheck.check(subject, cubic(), claims=("FIRST-1", "SOL-2", "SOL-3"))
    assert [(r.claim, r.verdict) for r in records] == [(name, HOLDS) for name in ("FIRST-1", "SOL-2", "SOL-3")], records


def library() -> None:
    """Conformance asks about it, cost measures it, and a script calls it."""
    mine = next(one for one in libraries() if one.name == "mine")
    (version,) = versions(["mine"], HERE)
    assert not version.trouble, version
    whole = matrix([version], HERE, claim=["SOL-9"])
    assert len(whole.units) == 1
    for preset in (subjects(), settings()):
        assert [s.engine.name for s in preset if s.engine is mine.engines[0].engine] == ["mine backprop"]
    sol_2 = next(claim for claim in ALL if claim.id == "SOL-2")
    text = script(sol_2, whole.units[0].subject, network(), observed=1.0, expected=0.0, bar=0.1)
    assert "from torchdiffeq import odeint" in text and "odecheck" not in text


def task() -> None:
    """It is listed, and trains."""
    assert re.search(r"^line +left or right of a line$", said("tasks"), re.MULTILINE)
    one = tasks.find("line")
    data = one.load(None, one.setting())
    rows = list(train(Trial(one, one.setting(), "NODE", "sgd", seed=0), data))
    assert [row.split for row in rows] == ["train", "train", "test"] and not any(row.message for row in rows)


def benchmark() -> None:
    """asv discovers it."""
    found = {one.name for one in disc_benchmarks(str(HERE / "asv_bench" / "benchmarks")) if one is not None}
    assert "decay.Decay.track_nfe" in found and "solve.Solve.track_nfe" in found, sorted(found)


def section() -> None:
    """A folder with its table has it in its report."""
    folder = HERE / "rain"
    folder.mkdir()
    pd.DataFrame({"town": ["Ulm", "Bonn"], "rain": [1.5, 2.0]}).to_parquet(folder / "weather.parquet")
    made = report([folder])
    assert [(one.id, one.blocks[0].text) for one in made.sections] == [("weather", "3.5 mm")]
    assert not made.damaged


def house() -> None:
    """Of modules that are asked for a test of their own, the new ones are missed."""
    assert {"engines/mine.py", "fields/cubic.py", "tasks/line.py"} <= set(test_house.untested())


ASKED = (mutant, claim, field, solver, library, task, benchmark, section, house)


def nobody(ask: Callable[[], None]) -> bool:
    """Whether an addition is noticed by nobody."""
    try:
        ask()
    except Exception:  # whatever comes of a thing that is not there
        return True
    return False


if __name__ == "__main__":
    for one in ASKED:
        # with an argument: in a project without the additions
        if sys.argv[1:] and not nobody(one):
            raise SystemExit(f"{one.__name__}() notices what was not added")
        if not sys.argv[1:]:
            one()
        print(one.__name__)
