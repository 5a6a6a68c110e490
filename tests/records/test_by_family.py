"""The table of a run: families, titles beside ids, what could hide, and the same words at any width."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from odecheck.claims.find import by_id
from odecheck.judge import Verdict
from odecheck.record import REFUSED
from odecheck.records.by_family import table
from tests.report_runs import ALL, CRASHED, HELD, NOTHING, UNSURE

RUN = [*ALL, replace(HELD, claim="SOL-9", resolved=0.0), replace(UNSURE, claim="SNOPT-8.1")]


def shown(records, width: int) -> list[str]:
    console = Console(width=width)
    with console.capture() as got:
        console.print(table(records, by_id(), width=width))
    return got.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_no_line_is_cut_and_each_claim_has_its_line(width):
    lines = shown(RUN, width)
    for id, title in (("SOL-2", "flow is met"), ("NODE-3", "time gradient"), ("SOL-9", "deterministic")):
        line = next(line for line in lines if line.strip().startswith(f"{id} "))
        assert title in line or "…" in line
    held = next(line for line in lines if line.strip().startswith("SOL-2 "))
    assert "2.0e-07" in held and max(map(len, lines)) <= width


def test_claims_stand_under_their_family_in_reading_order():
    lines = [line.split()[0] for line in shown(RUN, 120) if line.strip()]
    found = [word for word in lines if word in ("SOL", "NODE", "HB", "SNOPT") or word.startswith(("SOL-", "NODE-"))]
    assert found[:2] == ["SOL", "SOL-2"] and found.index("NODE") < found.index("SNOPT") < found.index("HB")
    assert found.index("SOL-6") < found.index("SOL-9")


def test_what_would_have_been_seen_is_explained_and_nothing_can_hide_in_equal_bits():
    text = "\n".join(shown(RUN, 160))
    assert "would have seen: the smallest relative defect" in text and "false as read: " in text
    assert next(line for line in text.splitlines() if "SOL-9" in line).split()[-2] == "any"
    assert "false as read" not in "\n".join(shown([HELD], 160))


def test_a_family_without_a_case_is_one_word():
    silent = [replace(NOTHING, claim=f"ADAM-{i}") for i in range(1, 6)]
    told = "Not applicable or not supported: 5 of 6 cases. No case for: ADAM (5 claims)."
    assert told in shown([HELD, *silent], 160)
    assert "No case for: HB-2, ADAM (5 claims)." in "\n".join(shown([HELD, NOTHING, *silent], 160))


def test_what_does_not_apply_is_counted_where_every_claim_has_a_case():
    text = "\n".join(shown([HELD, replace(NOTHING, claim="SOL-2")], 160))
    assert "Not applicable or not supported: 1 of 2 cases." in text and "No case for" not in text
    assert "Not applicable" not in "\n".join(shown([HELD], 160))


def test_what_was_refused_has_no_table():
    refused = replace(CRASHED, message=f"{REFUSED}no")
    assert table([refused], by_id()) is None and table([NOTHING], by_id()) is None
    assert len(shown([refused, HELD], 120)) == len(shown([HELD], 120))


def test_a_claim_that_is_not_known_has_its_id_and_no_control_character():
    lines = shown([replace(HELD, claim="MINE-1\x1b[2J", verdict=Verdict.HOLDS)], 120)
    assert any("MINE-1\\x1b[2J" in line for line in lines) and not any("\x1b[2J" in line for line in lines)
