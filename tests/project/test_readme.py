"""What the README shows runs, and what it quotes is what was generated."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import torch

from odecheck import ALL, HOLDS, check
from odecheck.runner.targets import pairs

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_model_of_the_reader_is_verified(tmp_path):
    block = next(b for b in BLOCKS if "class Field" in b)
    path = tmp_path / "my_model.py"
    path.write_text(block)
    torch.manual_seed(0)
    found = list(pairs([f"{path}:subjects"]))
    records = check(found[:1], claims="NODE-2")
    assert [record.verdict for record in records] == [HOLDS]
    assert not records[0].independent


def test_the_second_derivatives_example_runs(capsys):
    exec(next(b for b in BLOCKS if "func.hessian" in b), {})
    assert capsys.readouterr().out.count("tensor") == 3


def test_the_table_of_transforms_is_the_generated_one():
    assert (ROOT / "reports" / "transforms.md").read_text().strip() in README


def test_the_picture_of_verify_shows_the_claims_that_there_are():
    """odecheck verify --run runs/picture && python docs/.hooks/picture.py runs/picture docs/verify.svg"""
    text = unescape((ROOT / "docs" / "verify.svg").read_text()).replace("\xa0", " ")
    shown = set(re.findall(r"> *([A-Z]+-\d+(?:\.\d+)?)[ <]", text))
    assert shown == {claim.id for claim in ALL} and all(claim.title in text for claim in ALL)
    assert "AS EXPECTED" in text and "would" in text and "@font-face" not in text


def test_what_the_papers_say_is_what_the_ledger_says():
    """Every claim that the table names stands in the column of its verdict, and none that is false is left out."""
    verdicts = {row["claim"]: row["verdict"] for row in json.loads((ROOT / "reports" / "ledger.json").read_text())}
    papers = [
        [cell.strip() for cell in line.split("|")] for line in README.splitlines() if re.match(r"\| .*arXiv:2", line)
    ]
    assert len(papers) == 3
    for _, paper, _, false, experiments, _ in papers:
        family = re.search(r"\b(SNOPT|HB|ADAM)-", false)[1]
        stated = set(re.findall(r"[A-Z]+-[\d.]*\d", false))
        wrong = {c for c, v in verdicts.items() if c.startswith(family) and v in ("refuted", "holds under a condition")}
        assert stated == wrong, paper
        for claim in re.findall(r"([A-Z]+-\d+)(?: \([^)]*\))? holds\b", experiments):
            assert verdicts[claim] == "holds"
