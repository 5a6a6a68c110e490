"""A checkout is one more release, named by its commit, read where it lies; what is none is refused."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from odecheck import BadInput
from odecheck.commands.cli import app
from odecheck.conformance.checkout import checkout
from odecheck.conformance.matrix import matrix
from tests.conformance.rows import SAMPLE

BESIDE = replace(SAMPLE, package="sample", side_by_side=True)


def lay(folder: Path, text: str = '__version__ = "1.5"\n') -> Path:
    (folder / "sample").mkdir(parents=True)
    (folder / "sample" / "__init__.py").write_text(text)
    return folder


def commit(folder: Path) -> str:
    def git(*words: str) -> str:
        who = ["-c", "user.name=A", "-c", "user.email=a@b"]
        done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    return git("rev-parse", "HEAD")


def test_it_is_named_by_its_commit_and_by_its_files_where_these_are_others(tmp_path):
    lay(tmp_path)
    of_files = checkout(tmp_path, [BESIDE])
    assert of_files.release.startswith("1.5+checkout.files.") and of_files.named
    head = commit(tmp_path)
    clean = checkout(tmp_path, [BESIDE])
    assert clean.release == f"1.5+checkout.{head[:10]}" and clean.folder == str(tmp_path)
    assert "is a checkout" in clean.remark
    (tmp_path / "sample" / "__init__.py").write_text('__version__ = "1.5"\nX = 1\n')
    first = checkout(tmp_path, [BESIDE]).release
    (tmp_path / "sample" / "__init__.py").write_text('__version__ = "1.5"\nX = 2\n')
    second = checkout(tmp_path, [BESIDE]).release
    assert first.startswith(f"1.5+checkout.{head[:10]}.dirty.files.") and first != second


def test_a_folder_within_another_repository_has_not_its_commit(tmp_path):
    lay(tmp_path / "inner")
    commit(tmp_path)
    assert ".files." in checkout(tmp_path / "inner", [BESIDE]).release


def test_a_package_in_src_is_found_and_its_folder_is_where_it_is_asked(tmp_path):
    asked: list[tuple[str, str]] = []
    library = replace(BESIDE, asks=lambda release, folder: asked.append((release, folder)) or ())
    lay(tmp_path / "src")
    one = checkout(tmp_path, [library])
    matrix([one], Path("releases"))
    assert asked == [(one.release, str(tmp_path / "src"))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise SystemExit\n", "states no version"),
        ('__version__ = "../x"\n', "states no version"),
        ('__version__ = "1+2"\n', "states no version"),
        ("def (\n", "cannot be read"),
    ],
)
def test_a_package_without_a_version_is_refused_and_not_run(tmp_path, text, said):
    with pytest.raises(BadInput, match=said):
        checkout(lay(tmp_path, text), [BESIDE])


def test_what_is_no_checkout_of_a_declared_library_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no library that is declared"):
        checkout(tmp_path, [BESIDE])
    with pytest.raises(BadInput, match="sample cannot be run from a checkout"):
        checkout(lay(tmp_path), [replace(BESIDE, side_by_side=False)])
    refused = CliRunner().invoke(app, ["conformance", "--checkout", str(tmp_path / "nowhere")])
    assert refused.exit_code == 2 and "is a checkout of no library" in refused.output
