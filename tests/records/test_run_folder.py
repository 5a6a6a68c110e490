"""The run folder: nothing that was finished is lost, nothing is mixed, what is torn is told."""

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from odecheck import Adaptive, Adjoint, BadInput, Subject, check, problems
from odecheck.record import NEEDED
from odecheck.records.run_folder import RunFolder, read

SUBJECT = Subject(None, Adaptive("dopri5", rtol=1e-5), Adjoint())
CLAIMS = ("SOL-1", "SOL-9", "SOL-3")


def run(folder, *, claims=CLAIMS, subject=SUBJECT, count=2, **options):
    return check(subject, problems()[:count], claims, folder=folder, **options)


def same(records):
    """All that has to come out the same; as text, because NaN is not equal to itself."""
    return [repr(record.repeatable()) for record in records]


def test_a_run_is_a_table_with_its_versions(tmp_path):
    records = run(tmp_path / "run", seed=3)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["records.parquet", "run.json"]
    frame = pd.read_parquet(tmp_path / "run" / "records.parquet")
    assert list(frame.columns) == list(asdict(records[0]))
    assert frame["verdict"].tolist() == [str(r.verdict) for r in records]
    facts, back = read(tmp_path / "run")
    assert [repr(r) for r in back] == [repr(r) for r in records]
    assert facts["seed"] == 3
    assert facts["device"] == "cpu"
    assert facts["finished"] >= facts["started"]
    assert {"python", "torch", "torchdiffeq", "numpy", "scipy", "odecheck"} == set(facts["versions"])
    assert all(facts["versions"].values())


def test_without_the_extra_of_tables_the_journal_stays_and_says_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("odecheck.records.run_folder.can_write", lambda: False)
    records = run(tmp_path / "run", count=1)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["journal.jsonl", "run.json"]
    facts, back = read(tmp_path / "run")
    assert [repr(r) for r in back] == [repr(r) for r in records] and facts["finished"]
    monkeypatch.undo()
    assert same(run(tmp_path / "run", count=1, resume=True)) == same(records)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["records.parquet", "run.json"]


def test_kept_records_of_before_lack_what_came_later_and_are_read(tmp_path):
    before = run(tmp_path)
    table = tmp_path / "records.parquet"
    kept = pd.read_parquet(table)
    kept.drop(columns=[name for name in kept if name not in NEEDED]).to_parquet(table)
    assert [r.key for r in read(tmp_path)[1]] == [r.key for r in before]
    kept.drop(columns="message").to_parquet(table)
    assert read(tmp_path)[1] == []


def test_a_run_that_was_interrupted_goes_on(tmp_path):
    seen = []

    def stop(record):
        seen.append(record)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, progress=stop)
    assert [r.key for r in read(tmp_path)[1]] == [r.key for r in seen]
    assert read(tmp_path)[0]["finished"] is None
    more = []
    resumed = run(tmp_path, resume=True, progress=more.append)
    assert len(more) == 2
    assert same(resumed) == same(run(None))
    assert run(tmp_path, resume=True, progress=more.append) == read(tmp_path)[1] or len(more) == 2


def test_a_line_that_was_cut_off_is_told_and_its_case_run_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, progress=stop_after(3))
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    more = []
    with pytest.warns(UserWarning, match=r"journal.jsonl, line 3: cut off after \d+ bytes"):
        resumed = run(tmp_path, resume=True, progress=more.append)
    assert len(more) == 4
    assert same(resumed) == same(run(None))


def test_a_table_that_was_cut_off_is_told_and_its_cases_run_again(tmp_path):
    first = run(tmp_path)
    table = tmp_path / "records.parquet"
    table.write_bytes(table.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=r"records\.parquet"):
        again = run(tmp_path, resume=True)
    assert same(again) == same(first)


def stop_after(count):
    seen = []

    def stop(record):
        seen.append(record)
        if len(seen) == count:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"claims": ("SOL-1", "SOL-9")}, "other claims"),
        ({"subject": replace(SUBJECT, solver=Adaptive("dopri5", rtol=1e-6))}, "other pairs"),
        ({"count": 1}, "other pairs"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"resume": False}, "already holds a run"),
    ],
)
def test_another_run_is_not_mixed_in(tmp_path, change, seen):
    before = run(tmp_path)
    with pytest.raises(BadInput, match=seen) as caught:
        run(tmp_path, **{"resume": True, **change})
    assert caught.value.cause
    assert "--run" in caught.value.fix or "--resume" in caught.value.fix
    assert same(read(tmp_path)[1]) == same(before)
    assert same(run(tmp_path, resume=True)) == same(before)


def test_a_changed_problem_of_the_same_name_is_another(tmp_path):
    problem = problems()[0]
    check(SUBJECT, problem, CLAIMS, folder=tmp_path)
    with pytest.raises(BadInput, match="other pairs"):
        check(SUBJECT, problem.with_(y0=problem.y0 + 1), CLAIMS, folder=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"schema": 0}, "format version 0"),
        ({"schema": None}, "format version None"),
        ({"versions": {"torch": "1.0"}}, r"begun with python .* torch 1\.0"),
    ],
)
def test_a_folder_of_another_version_is_refused(tmp_path, change, seen):
    run(tmp_path)
    path = tmp_path / "run.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, **change}))
    with pytest.raises(BadInput, match=seen):
        run(tmp_path, resume=True)
    path.write_text(json.dumps(facts))
    run(tmp_path, resume=True)


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(BadInput, match="there is no run") as caught:
        read(tmp_path)
    assert "odecheck verify" in caught.value.fix
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path)


KILLED = """
import sys
from odecheck import Adaptive, Adjoint, Subject, check, problems
from odecheck.claims import ALL

if __name__ == "__main__":
    subject = Subject(None, Adaptive("dopri5", rtol=1e-7), Adjoint())
    check(subject, problems()[:3], ["SOL-1", "SOL-9", "SOL-2", "SOL-6", "SOL-8"], folder=sys.argv[1],
          workers=int(sys.argv[2]), progress=lambda record: print(*record.key, sep="|", flush=True))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_loses_no_finished_record_and_leaves_no_process(tmp_path, workers):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), str(workers)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    told = [process.stdout.readline().strip() for _ in range(7)]
    process.send_signal(signal.SIGKILL)
    told += [line.strip() for line in process.stdout.read().splitlines()] if workers == 1 else []
    process.wait()
    assert all(told), "the run ended before it could be killed"
    facts, kept = read(folder)
    assert facts["finished"] is None
    assert {"|".join(record.key) for record in kept} >= set(told)
    assert len(kept) < 15, "the run ended before it could be killed"
    assert _gone(process.pid), "a worker outlived its parent"

    before = {record.key: record for record in kept}
    more = []
    subject = Subject(None, Adaptive("dopri5", rtol=1e-7), Adjoint())
    claims = ["SOL-1", "SOL-9", "SOL-2", "SOL-6", "SOL-8"]
    resumed = check(subject, problems()[:3], claims, folder=folder, resume=True, progress=more.append)
    assert len(more) == 15 - len(kept)
    assert all(repr(record) == repr(before[record.key]) for record in resumed if record.key in before)
    assert [record.problem for record in resumed] == [p.name for p in problems()[:3] for _ in claims]


def _gone(session: int) -> bool:
    """Whether all processes of a session end within some seconds."""
    for _ in range(100):
        if not _living(session):
            return True
        time.sleep(0.1)
    return False


def _living(session: int) -> list[str]:
    """Processes of a session that are no zombies; workers have groups of their own."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, _, its_session = stat.read_text().rsplit(")", 1)[1].split()[:4]
            found += [stat.parent.name] if int(its_session) == session and state != "Z" else []
    return found


def test_facts_that_were_edited_are_refused(tmp_path):
    facts = {"schema": 1, "cases": {"task": "a"}, "seed": 0, "command": []}
    how: dict[str, Any] = {"resume": True, "belongs": ("cases", "seed"), "same": lambda *_: None}
    RunFolder.open(tmp_path, dict(facts), **how).finish()
    path = tmp_path / "run.json"
    written = json.loads(path.read_text())
    assert RunFolder.open(tmp_path, dict(facts), **how).facts["finished"] is None
    with pytest.raises(BadInput, match=r"already holds a run"):
        RunFolder.open(tmp_path, dict(facts), **{**how, "resume": False})
    path.write_text(json.dumps({**written, "seed": 1}))
    with pytest.raises(BadInput, match="its cases, seed have another digest"):
        RunFolder.open(tmp_path, dict(facts), **how)
    for kept in ({**written, "command": ["rm"]}, {k: v for k, v in written.items() if k != "digest"}):
        path.write_text(json.dumps(kept))
        with pytest.raises(BadInput, match="it has another checksum"):
            RunFolder.open(tmp_path, dict(facts), **how)
    del written["digest"], written["checksum"]  # of an older odecheck
    path.write_text(json.dumps(written))
    assert "digest" in RunFolder.open(tmp_path, dict(facts), **how).facts
