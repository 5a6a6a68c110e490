"""explain says everything that is declared of a claim, and where its section of the documentation is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from odecheck.claims import ALL
from odecheck.claims.find import by_id
from odecheck.commands.cli import app
from odecheck.commands.explain import told

DOCS = Path(__file__).parents[2] / "docs"


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize("command", ["explain", "claims"])
def test_a_claim_is_explained_under_any_of_its_names(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    claim = by_id()["NODE-2"]
    for name in ("NODE-2", "node2", "parameter gradient"):
        done = run(command, name)
        assert done.exit_code == 0
        for part in (claim.text, claim.source, claim.family.title, "odecheck verify", "first-order.md, section NODE-2"):
            assert part in done.output
        assert all(mutant.name in done.output for mutant in claim.mutants)


def test_every_claim_can_be_explained_and_its_section_is_there():
    for claim in by_id().values():
        text = told(claim)
        assert claim.text in text and claim.id in text
        if claim in ALL:
            page = re.search(r"docs/(\S+), section (\S+)$", text, re.MULTILINE)
            assert page and f"## {page[2]}\n" in (DOCS / page[1]).read_text(), claim.id
        assert not claim.when or claim.when.text in text


def test_lines_are_as_wide_as_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, run("explain", "HB").output.splitlines())) <= 60


def test_an_unknown_claim_is_refused_with_the_nearest():
    done = run("explain", "NODEE-2")
    assert done.exit_code == 2 and "there is no claim 'NODEE-2'" in done.output and "NODE-2" in done.output


def test_the_ledger_takes_no_claims():
    assert run("claims", "NODE-2", "--verify").exit_code == 2
