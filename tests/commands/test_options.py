"""Options: words to choose from are refused at once, lists have one form, what would be ignored is said."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from odecheck.commands.cli import app
from odecheck.commands.options import split, unknown

LIGHT = """
import sys
sys.argv[0] = "odecheck"
from odecheck.commands.cli import main
try:
    main()
finally:
    print([m for m in ("torch", "numpy") if m in sys.modules])
"""


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "model", raising=False)


CHOICES = [
    ("verify", "--tier", "slow"),
    ("cost", "--device", "gpu"),
    ("cost", "--dtype", "float16"),
    ("train", "spheres", "--device", "tpu"),
    ("selftest", "--part", "bars,bar"),
    ("bench", "--mode", "there"),
]


@pytest.mark.parametrize("words", CHOICES, ids=" ".join)
def test_a_word_that_is_none_of_a_choice_is_refused_before_anything_is_loaded(words):
    done = subprocess.run([sys.executable, "-c", LIGHT, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout.strip() == "[]", done
    assert f"'{words[-1].split(',')[-1]}'" in done.stderr and "what to type" in done.stderr


@pytest.mark.parametrize("words", CHOICES, ids=" ".join)
def test_help_says_what_there_is_to_choose_from(words):
    assert "|" in run(words[0], "-h").output


def test_lists_are_repeated_or_have_commas():
    assert split(["a, b", "c"]) == split(["a", "b", "c"]) == ["a", "b", "c"] and split(None) == split([","]) == []


def test_the_nearest_word_comes_first():
    assert str(unknown("tier", "ful", ("quick", "full"), "--tier")).endswith("--tier full or --tier quick")


MODEL = """
import torch
from odecheck import SHIPPED, Adaptive, Backprop, Subject
net = torch.nn.Linear(2, 2)
pair = (net, torch.ones(1, 2))
triple = (net, torch.ones(1, 2), [0.0, 1.0])
subject = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-7), Backprop())
"""


@pytest.mark.parametrize(
    "words",
    [
        ("--times", "[0, 1]"),
        ("--state", "[[1.0]]"),
        ("model.py:triple", "--times", "[0, 2]"),
        ("model.py:pair", "--state", "[[1.0, 1.0]]"),
        ("model.py:subject", "--times", "[0, 2]"),
        ("model.py:pair", "--tier", "full"),
        ("--plan", "--json", "a.json"),
        ("--plan", "--run", "here"),
        ("-q", "-v"),
    ],
    ids=" ".join,
)
def test_what_would_be_ignored_is_refused(words, tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    done = run("verify", *words, "--claim", "SOL-9")
    assert done.exit_code == 2, done.output
    assert "would be ignored" in done.output and not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("bench", "--gpu", "gpu", "--select", "track"),
        ("bench", "HEAD", "--gpu", "gpu"),
        ("regressions", "--timed", "gradient"),
        ("regressions", "--newest", "3"),
        ("selftest", "--part", "bars", "--rows", "5"),
        ("selftest", "--so-far", "--part", "bars"),
    ],
    ids=" ".join,
)
def test_so_are_their_brothers_in_other_commands(words, tmp_path):
    done = run(*words)
    assert done.exit_code == 2 and "would be ignored" in done.output, done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("train", "spheres", "--model", "NODE", "--model", "NODES"), "no model 'NODES'"),
        (("train", "spheres", "--optimizer", "adam, lion"), "no optimizer 'lion'"),
        (("train", "spheres", "--seeds", "1", "--seeds", "x"), "--seeds is '1,x'"),
        (("cost", "--quantity", "solution,speed"), "no quantity 'speed'"),
        (("verify", "--claim", "SOL-1, SOL-999"), "no claim 'SOL-999'"),
    ],
)
def test_every_list_is_read_in_the_same_way(words, expected, tmp_path):
    done = run(*words)
    assert done.exit_code == 2 and expected in done.output, done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [("model.py:pair", "--times", "[0, 2]"), ("model.py:subject", "--tier", "full"), ("model.py:triple",)],
    ids=" ".join,
)
def test_what_is_of_use_is_taken(words, tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    done = run("verify", *words, "--claim", "SOL-9", "--plan")
    assert done.exit_code == 0, done.output


def test_h_is_help_everywhere():
    assert run("-h").output == run("--help").output
    command = typer.main.get_command(app)
    for name in command.commands:  # type: ignore[attr-defined]
        assert run(name, "-h").exit_code == 0, name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("odecheck ver", ["verify"]),
        ("odecheck verify --tier ", ["quick", "full"]),
        ("odecheck cost --device c", ["cpu", "cuda"]),
        ("odecheck explain NODE-2", ["NODE-2"]),
        ("odecheck verify --claim SOL-2,HB-7", ["SOL-2,HB-7", "SOL-2,HB-7.1"]),
    ],
)
def test_the_shell_completes_words(words, expected):
    typed = {"_ODECHECK_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words}
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, env={**os.environ, **typed})
    assert done.stdout.splitlines()[-1] == "[]", done
    assert all(f'"{word}"' in done.stdout for word in expected) and done.stdout.count('"') // 2 >= len(expected)
