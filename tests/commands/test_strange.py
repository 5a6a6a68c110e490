"""What nobody means to type or to name: refused in words, or data wherever it goes."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import torch

from odecheck import check
from odecheck.commands import common
from odecheck.records.journal import digest
from odecheck.records.run_folder import read
from odecheck.records.summary import identifier
from odecheck.runner import presets
from tests.abuse import kept
from tests.commands.typed import refused, run

VERIFY = ("verify", "--claim", "SOL-1", "--problem", "linear", "--subject", "rk4", "--workers", "1")
RUN = [sys.executable, "-c", "import sys; from odecheck.commands.cli import main; sys.argv[0] = 'odecheck'; main()"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "typed",
    [
        (*VERIFY, "--memory", "1e308"),
        (*VERIFY, "--timeout", "1e300"),
        (*VERIFY, "--memory", "1e-12"),
        ("conformance", "scipy", "--memory", "inf"),
        ("train", "spheres", "--seeds", "1e400"),
        ("train", "spheres", "--seeds", "99999999999"),
    ],
)
def test_numbers_beyond_all_bounds_are_refused_in_words(typed):
    refused("", *typed)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "typed",
    [
        ("train", "spheres", "--threads", "2147483648"),
        ("selftest", "--problems=2147483648"),
        (*VERIFY, "--seed", "9" * 30),
        (*VERIFY, "--workers", "2147483648"),
        ("bench", "--at-most", "-1"),
    ],
)
def test_whole_numbers_have_bounds(typed):
    status, output = run(*typed)
    assert status == 2 and "than or equal to" in " ".join(output.replace("│", " ").split())


@pytest.mark.parametrize("state", [f"[[1{'0' * 400}]]", "[[10**400]]", "[" * 5_000, "[[1e400, 1]]", "{}", "'a'"])
def test_a_state_that_is_none_is_refused(state):
    Path("strange_net.py").write_text("import torch\nnet = torch.nn.Linear(2, 2)\n")
    refused("", "verify", "strange_net.py:net", "--state", state, "--workers", "1")


@pytest.mark.parametrize("option", ["--summary", "--json", "--junit"])
def test_a_file_that_is_none_is_refused(option):
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    refused("cannot write", *VERIFY, option, "pipe")
    refused("cannot write", *VERIFY, option, "loop")
    refused("cannot be read", "bench", "--config", "pipe")


def test_an_unknown_claim_beside_a_known_one_is_refused():
    two = ("conformance", "scipy", "--claim", "SOL-2", "--claim")
    assert "SOL-9 or" in refused("no claim 'SOL-999'", *two, "SOL-999")
    refused("no claim 'HB-1'", *two, "HB-1")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_gpu_suite_without_a_gpu_is_refused():
    refused("there is no GPU here", "bench", "--gpu", "here")
    assert not Path("here").exists()


NAMES = """
from odecheck import SHIPPED, Adaptive, Backprop, Subject, problems as shipped
title = "\\x1b]0;title\\x07"
problems = [shipped()[0].with_(name=f"p [/] x {title} <b>'")]
subjects = [Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Backprop(), label=f"s [/red] {title}\\ud800")]
"""


def test_names_are_data_wherever_they_go():
    Path("strange_names.py").write_text(NAMES)
    files = ("--json", "a.json", "--junit", "a.xml", "--summary", "a.md", "--run", "x[/red]y")
    status, output = run("verify", "strange_names.py:subjects", "--claim", "SOL-1,SOL-2", "--workers", "1", *files)
    assert status == 0 and "x[/red]y" in output
    assert len(json.loads(Path("a.json").read_text())["records"]) == 2
    assert len(ElementTree.parse("a.xml").getroot()[0].findall("testcase")) == 2
    shown = run("show", "SOL-2", "--run", "x[/red]y")[1]
    for text in (output, shown, run("show", "SOL", "--run", "x[/red]y")[1], Path("a.md").read_text()):
        assert text.replace("\n", "").isprintable()
    assert r"\x1b]0;title" in shown
    ast.parse(shown.split("Again, in Python:")[1].split("\n\n")[1])


def test_two_that_begin_in_one_second_do_not_meet():
    assert len({common.new_run() for _ in range(20)}) == 20


def test_nothing_of_a_run_or_a_table_gets_into_a_script(tmp_path):
    whole = kept.everything(tmp_path / "kept") / "run"
    (of_table,) = pd.read_parquet(whole / "conformance.parquet")["row"]
    bad = "1\nimport os; os.system('touch canary')  # coding: utf-7 +AAo-open('canary', 'w')"
    table = pd.read_parquet(whole / "conformance.parquet")
    facts = json.loads((whole / "run.json").read_text())
    record = next(r for r in read(whole)[1] if r.verdict == "refuted")
    asked = [("conformance.parquet", name) for name in table.columns if name != "row"]
    for file, name in [*asked, ("run.json", "versions"), ("run.json", "source"), ("run.json", "seed")]:
        Path("bug.py").unlink(missing_ok=True)
        if file == "run.json":
            strange = {
                "versions": dict.fromkeys(facts["versions"], bad),
                "source": {"targets": [bad], bad: 1},
                "seed": bad,
            }
            (whole / file).write_text(json.dumps({**facts, name: strange[name]}))
            (whole / "conformance.parquet").unlink(missing_ok=True)
            row = identifier(record)
        else:
            table.assign(**{name: bad}).to_parquet(whole / file)
            row = of_table
        status, _ = run("reproduce", row, "--run", str(whole), "--write", "bug.py")
        assert status in (0, 2), name
        texts = [Path("bug.py").read_text()] if status == 0 else []
        if file == "run.json":
            texts.append(run("show", row, "--run", str(whole))[1].split("Again, in Python:\n\n")[1])
        for text in texts:
            calls = [ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
            assert not any(call.startswith(("os.system", "open")) for call in calls), name
            first = text.splitlines()[:2]
            assert not any("coding:" in line for line in first if line.startswith("#"))


def test_damage_is_told_and_what_has_no_checksum_too():
    check(presets.subjects("quick")[2], presets.problems("quick")[0], "SOL-9", folder="here")
    assert "checksum" not in run("show", "SOL-9", "--run", "here")[1]
    facts = json.loads(Path("here/run.json").read_text())
    Path("here/run.json").write_text(json.dumps({**facts, "platform": "another"}))
    assert "run.json is not what was written" in run("show", "SOL-9", "--run", "here")[1]
    del facts["checksum"]
    Path("here/run.json").write_text(json.dumps(facts))  # as a flip in the name of its checksum leaves it
    assert "run.json is not what was written: it has no checksum" in run("show", "SOL-9", "--run", "here")[1]
    facts["schema"] = 1  # of a version that wrote none
    Path("here/run.json").write_text(json.dumps(facts))
    assert "has no checksums" in run("show", "SOL-9", "--run", "here")[1]
    facts["checksum"] = digest(facts)
    Path("here/run.json").write_text(json.dumps(facts))
    table = Path("here/records.parquet")
    pd.read_parquet(table).to_parquet(table)
    assert "has no checksums" in run("show", "SOL-9", "--run", "here")[1]


def test_a_damaged_table_of_conformance_is_refused():
    Path("conformance.parquet").write_bytes(b"junk")
    refused("conformance.parquet cannot be read", "reproduce", "3f9a1c", "--run", ".")
    pd.DataFrame({"row": ["3f9a1c"], "claim": [["a"]]}).to_parquet("conformance.parquet")
    refused("conformance.parquet cannot be read", "reproduce", "3f9a1c", "--run", ".")


SWALLOWED = """
import gc, os, signal, time
from odecheck.commands.cli import _interrupted_once
ended = _interrupted_once()
sent = []
def collected(*_):
    if not sent:
        sent.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
gc.callbacks.append(collected)
try:
    gc.collect()
    time.sleep(20)
    print("lost")
except KeyboardInterrupt:
    ended()
    print("heard")
"""


def test_ctrl_c_that_a_callback_of_the_garbage_collector_swallows_is_heard():
    done = subprocess.run([sys.executable, "-c", SWALLOWED], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("heard\n", "")


def test_ctrl_c_three_times_is_quiet():
    Path("slow_to_read.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [*RUN, "verify", "slow_to_read.py:x"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "here\n"
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said and said.count("Interrupted") == 1


def test_a_target_that_is_never_read_is_refused():
    Path("never_read.py").write_text("import time\nwhile True: time.sleep(0.01)\n")
    refused("have not been read within 0.3 seconds", "verify", "never_read.py:x", "--timeout", "0.3")


def test_what_typer_refuses_is_escaped_and_nobody_reads_is_no_failure():
    done = subprocess.run([*RUN, "show", "x", "\x1b]0;title\x07"], capture_output=True, text=True)
    assert (
        done.returncode == 2 and "Usage" in done.stderr and r"\x1b]0;title" in done.stderr and "\x1b" not in done.stderr
    )
    process = subprocess.Popen([*RUN, "claims"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert (process.stderr.read(), process.wait(60)) == ("", 0)


def test_commands_print_through_one_function_alone():
    """`common.say` spells control characters out."""
    for path in Path(common.__file__).parent.glob("*.py"):
        calls = [ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        assert "typer.echo" not in calls or path.name == "common.py", path


def test_a_reader_that_goes_away_loses_no_file_and_no_exit_status():
    outputs = ["--json", "v.json", "--junit", "v.xml", "--summary", "v.md", "--badge", "v.badge"]
    with subprocess.Popen([*RUN, *VERIFY, "--run", "v", *outputs], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()  # as `| head` does when it has its line
        assert process.wait(timeout=300) == 0
    assert all(Path(name).stat().st_size for name in outputs[1::2])


def test_libraries_are_asked_for_every_claim_that_is_typed_or_for_none():
    refused("HB-1", "conformance", "--claim", "NODE-3,HB-1")
    assert not Path("runs").exists()


def test_a_name_in_brackets_is_printed():
    assert "[tool.odecheck.regressions.thresholds]" in " ".join(run("regressions", "--help")[1].split())
