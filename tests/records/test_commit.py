"""Which commit it is, read from a repository that would like to run something."""

import subprocess
from pathlib import Path

import pytest

from odecheck.bench.suite import Suite
from odecheck.records.commit import described

NOBODY = ["-c", "user.name=n", "-c", "user.email=n@n", "-c", "commit.gpgsign=false"]


def git(*words: str) -> str:
    done = subprocess.run(["git", *NOBODY, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    git("init", "-q", ".")
    Path("file.txt").write_text("one\n")
    git("add", ".")
    git("commit", "-qm", "first")
    return tmp_path


def test_the_commit_and_whether_something_was_changed(repository):
    head = git("rev-parse", "HEAD")
    assert described() == head
    (repository / "below").mkdir()
    assert described(repository / "below") == head
    Path("file.txt").write_text("two\n")
    assert described(repository / "below") == f"{head}-dirty" == git("describe", "--always", "--dirty", "--abbrev=40")
    git("tag", "-am", "m", "v1")
    assert described() == "v1-dirty"


def test_no_repository_has_no_commit(tmp_path):
    assert described(tmp_path) is None


def test_nothing_that_the_repository_configures_is_run(repository):
    """Each of these leaves a file where it is run; git itself is shown to run them."""
    said = repository.parent / f"{repository.name}-was-run"
    program = repository / "program.sh"
    program.write_text(f"#!/bin/sh\necho $0 >> {said}\ncat\n")
    program.chmod(0o755)
    hooks = repository / ".git" / "hooks"
    for hook in ("post-index-change", "post-checkout", "reference-transaction"):
        (hooks / hook).write_text(program.read_text())
        (hooks / hook).chmod(0o755)
    Path(".git/info/attributes").write_text("*.txt filter=a=b diff=c\n")
    for name in (
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "filter.a=b.clean",
        "filter.a=b.smudge",
        "diff.c.command",
        "diff.c.textconv",
        "diff.external",
        "gpg.program",
    ):
        git("config", name, str(program))
    git("config", "log.showSignature", "true")
    git("config", "filter.a=b.required", "true")
    git("config", "protocol.ext.allow", "always")
    Path("file.txt").write_text("two\n")
    git("describe", "--dirty", "--always")
    assert said.exists(), "git does not run them"
    said.unlink()
    assert (described() or "").endswith("-dirty")
    Path("asv.conf.json").write_text("{}")
    suite = Suite(Path("asv.conf.json"), repository, repository, repository)
    assert suite.uncommitted() == ["file.txt"] and suite.subject("HEAD") == "first"
    assert suite.commits("HEAD") == suite.commits("HEAD..HEAD")
    with suite.checkout("HEAD") as folder:
        assert (folder / "file.txt").read_text() == "one\n"
    assert not said.exists(), said.read_text()
