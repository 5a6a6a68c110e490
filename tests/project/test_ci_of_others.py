"""What other projects' CI uses: the action's own steps run here, as a runner would run them; files keep their forms."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="it comes with the extra `docs`")
ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GUIDE = (ROOT / "docs" / "howto" / "ci.md").read_text()
# stands in the way of pip, which nobody wants to install anything here, and writes down what it was asked for
PYTHON = """#!/usr/bin/env bash
if [ "$1 $2" = "-m pip" ]; then printf '%s\\n' "$@" > "$ASKED"; exit 0; fi
exec "{python}" "$@"
"""
# a command that says what it was given and ends as it is told
ODECHECK = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$ASKED"
exit "${STATUS:-0}"
"""


class Runner:
    """Runs the steps of the action in a folder, as GitHub's runner does."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tools = folder, folder / "tools"
        self.tools.mkdir()
        self.tool("python", PYTHON.replace("{python}", sys.executable))

    def tool(self, name: str, text: str) -> None:
        (self.tools / name).write_text(text)
        (self.tools / name).chmod(0o755)

    def step(self, name: str, inputs: dict[str, str], **more: str) -> tuple[int, str]:
        """The exit status and the words of a step."""
        given = {key: one["default"] for key, one in ACTION["inputs"].items()} | inputs
        (step,) = (one for one in ACTION["runs"]["steps"] if one["name"] == name)
        own = {key: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda m: given[m[1]], v) for key, v in step["env"].items()}
        environment = {
            **os.environ,
            **own,
            **more,
            "PATH": f"{self.tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'reference'}",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "ASKED": str(self.folder / "asked"),
            "OMP_NUM_THREADS": "1",
        }
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(shell, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout + done.stderr

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()

    @property
    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in (self.folder / "output").read_text().splitlines())


@pytest.fixture
def runner(tmp_path) -> Runner:
    return Runner(tmp_path)


def test_every_input_is_used_and_no_text_of_somebody_is_part_of_a_script():
    steps = ACTION["runs"]["steps"]
    used = {name for step in steps for name in re.findall(r"inputs\.(\w+)", str(step["env"]))}
    assert used == set(ACTION["inputs"])
    assert not [step["name"] for step in steps if "${{" in step["run"]]
    for step in steps:
        assert set(step["env"]) <= set(re.findall(r"\$\{?(\w+)", step["run"]))


def test_what_is_installed(runner):
    assert runner.step("Install", {})[0] == 0
    assert runner.asked == ["-m", "pip", "install", "-c", f"{ROOT}/constraints.txt", f"{ROOT}"]
    more = {"install": ". other>=1", "extras": "tables,report", "constraints": "-"}
    assert runner.step("Install", more)[0] == 0
    assert runner.asked == ["-m", "pip", "install", f"{ROOT}[tables,report]", ".", "other>=1"]


def test_a_verified_model_has_its_summary_and_its_badge(runner):
    (model,) = re.findall(r'title="my_model.py"\n(.*?)```', GUIDE, re.DOTALL)
    (runner.folder / "my_model.py").write_text(model)
    given = {"target": "my_model.py:subjects", "options": "--claim NODE-2 --workers 1"}
    status, said = runner.step("Ask", given)
    assert status == 0, said
    assert "as expected" in (runner.folder / "summary.md").read_text()
    assert runner.outputs == {"status": "0", "badge": "odecheck-run/badge.json", "folder": "odecheck-run"}
    assert json.loads((runner.folder / runner.outputs["badge"]).read_text())["color"] == "brightgreen"
    assert (runner.folder / "odecheck-run" / "junit.xml").exists()


@pytest.mark.parametrize(
    ("status", "strict", "expected"),
    [(0, "false", 0), (1, "false", 1), (2, "false", 2), (3, "false", 0), (3, "true", 3)],
)
def test_a_status_is_that_of_the_step_and_what_is_inconclusive_warns(runner, status, strict, expected):
    runner.tool("odecheck", ODECHECK)
    given = {"run": "conformance", "target": "a.py b", "options": "--claim 'SOL-*'", "strict": strict}
    left, said = runner.step("Ask", given, STATUS=str(status))
    assert left == expected and runner.outputs["status"] == str(status)
    assert runner.asked[:3] == ["conformance", "a.py", "b"] and "'SOL-*'" in runner.asked  # no name of a file instead
    assert ("::warning::" in said) == (status == 3 and expected == 0)


def test_pytest_is_run_with_the_plug_in_and_another_word_is_refused(runner):
    (runner.folder / "test_it.py").write_text("def test_it(): assert False\n")
    left, said = runner.step("Ask", {"run": "pytest", "target": "test_it.py", "options": "-q -p no:cacheprovider"})
    assert left == 1 and "1 failed" in said
    assert json.loads((runner.folder / "odecheck-run" / "badge.json").read_text())["message"] == "nothing judged"
    left, said = runner.step("Ask", {"run": "verfy"})
    assert left == 2 and "::error::run is 'verfy'" in said


def test_the_workflow_of_the_guide_names_inputs_and_outputs_that_there_are():
    (text,) = re.findall(r'title=".github/workflows/odecheck.yml"\n(.*?)```', GUIDE, re.DOTALL)
    steps = yaml.safe_load(text)["jobs"]["verify"]["steps"]
    (mine,) = (step for step in steps if step["uses"].startswith(repository().removeprefix("https://github.com/")))
    assert set(mine["with"]) <= set(ACTION["inputs"])
    assert set(re.findall(r"steps\.odecheck\.outputs\.(\w+)", text)) <= set(ACTION["outputs"])
    for name, value in ((n, one["value"]) for n, one in ACTION["outputs"].items()):
        assert value == f"${{{{ steps.ask.outputs.{name} }}}}"


def repository() -> str:
    return PROJECT["urls"]["Homepage"]


def test_the_hooks_are_those_that_the_guide_names_and_what_they_type_exists():
    hooks: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    for hook in hooks:
        assert {"id", "name", "entry", "language"} <= set(hook)
        assert hook["entry"].split()[:2] == ["odecheck", "verify"] and hook["pass_filenames"] is False
    (text,) = re.findall(r'title=".pre-commit-config.yaml"\n(.*?)```', GUIDE, re.DOTALL)
    (named,) = yaml.safe_load(text)["repos"]
    assert named["repo"] == repository()
    assert {one["id"] for one in named["hooks"]} <= {hook["id"] for hook in hooks}


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    required = {"cff-version", "message", "title", "authors"}
    allowed = required | {"type", "abstract", "version", "license", "repository-code", "keywords"}
    assert required <= set(cited) <= allowed and cited["cff-version"] == "1.2.0" and cited["type"] == "software"
    assert all(set(one) == {"name"} for one in cited["authors"])
    assert cited["version"] == PROJECT["version"] and cited["license"] == PROJECT["license"]
    assert cited["repository-code"] == repository()
    assert [one["name"] for one in cited["authors"]] == [one["name"] for one in PROJECT["authors"]]
