"""A folder with finished runs of every kind, made once: what is damaged, and what commands are asked to read."""

from __future__ import annotations

import shutil
from pathlib import Path

from odecheck import check
from odecheck.claims import CONFORMANCE
from odecheck.conformance.libraries import Version
from odecheck.conformance.matrix import digest, frame, row_of
from odecheck.engines.found import libraries
from odecheck.problem_sets.conformance import problems
from odecheck.record import evaluate
from odecheck.records.journal import Journal
from odecheck.records.table import write_table
from odecheck.runner import presets
from odecheck.subject import SHIPPED, Subject
from odecheck.training.loop import train
from tests.training.spheres import DATA, trial


def everything(folder: Path) -> Path:
    """run/ with records and a table of conformance, journal/ with an unfinished run, training/ with both kinds."""
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    subject = presets.subjects("quick")[2]
    check(subject, presets.problems("quick")[0], ["SOL-1", "NODE-3"], folder=folder / "run")
    write_table(folder / "run" / "conformance.parquet", frame(_rows()))
    shutil.copytree(folder / "run", folder / "journal")
    (folder / "journal" / "conformance.parquet").unlink()
    (folder / "journal" / "records.parquet").unlink()
    lines = Journal(folder / "journal" / "journal.jsonl")
    for record in check(subject, presets.problems("quick")[0], ["SOL-1", "SOL-9", "NODE-3"]):
        lines.add({**vars(record)})
    lines.close()
    units = folder / "training" / "units"
    list(train(trial(), DATA, units / "ended"))
    for count, _row in enumerate(train(trial(), DATA, units / "begun", every=0.0)):
        if count == 3:
            break
    (folder / "done").touch()
    return folder


def _rows():
    library = next(one for one in libraries() if one.name == "torchdiffeq")
    way = next(w for w in library.asks("0.2.5", "") if (w.engine_name, w.method) == ("adjoint", "dopri5"))
    claim, problem = next(c for c in CONFORMANCE if c.id == "HES-2"), problems("HES-2")[0]
    record = evaluate(claim, Subject(SHIPPED, way.solver, way.engine), problem)
    row = row_of(record, Version(library, "0.2.5"), way)
    assert row.verdict == "refuted" and row.row == digest(*record.key)
    return [row]
