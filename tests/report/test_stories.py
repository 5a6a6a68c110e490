"""Whose story is told, and what is in it."""

from odecheck.report.text import Table


def test_what_has_to_be_read_is_told_and_nothing_else(whole):
    table = next(b for s in whole.sections for b in s.blocks if isinstance(b, Table) and b.id == "attention")
    assert list(table.frame["outcome"]) == ["failed", "failed", "inconclusive", "known failure", "false as read"]
    of_libraries = {name for name in whole.stories if name.startswith("record-t")}
    assert set(table.frame["record"]) == set(whole.stories) - of_libraries
    story = whole.stories[table.frame["record"].iloc[0]]
    assert "gap / bar" in story and "odecheck.check([pair], claims='SOL-2'" in story and "odecheck show" in story


def test_each_refuted_or_inconclusive_row_of_a_library_leads_to_its_story_and_its_script(whole):
    rows = next(
        b for s in whole.sections for b in s.blocks if isinstance(b, Table) and b.id == "conformance-rows"
    ).frame
    assert set(rows["record"]) - {""} == {name for name in whole.stories if name.startswith("record-t")}
    assert list(rows["record"] != "") == list(rows["verdict"].isin(["refuted", "inconclusive"]))
    for row in rows.to_dict("records"):
        if row["verdict"] == "refuted":
            told = whole.stories[row["record"]]
            assert row["library"] in told and told.endswith(row["reproducer"]) and "SystemExit" in told
