"""What run.json says is read as what somebody else may have written."""

import json
import os

import pytest

from odecheck.errors import BadInput
from odecheck.records.facts import (
    SCHEMA,
    SHAPES,
    changed,
    command_of,
    kind_of,
    read_facts,
    refuse_other_shapes,
    versions_in,
)
from odecheck.records.journal import digest

FACTS = {
    "schema": 1,
    "versions": {"torch": "2"},
    "cases": {"claims": [], "pairs": []},
    "command": ["odecheck"],
    "seed": 0,
}


def test_a_changed_fact_is_noticed(tmp_path):
    written = {**FACTS, "checksum": digest(FACTS)}
    assert changed(written) == "" == changed(FACTS)
    newer = {**FACTS, "schema": SCHEMA}
    assert changed({**newer, "checksum": digest(newer)}) == ""
    assert "no checksum" in changed({**newer, "checjsum": digest(newer)}), "a flip in the name of the checksum itself"
    assert "another checksum" in changed({**written, "platform": "x"}) and "another" in changed({**written, "seed": 1})


@pytest.mark.parametrize("name", SHAPES)
def test_a_fact_of_another_kind_is_refused(tmp_path, name):
    for strange in ([1] if list not in SHAPES[name] else "x", 1.5):
        (tmp_path / "run.json").write_text(json.dumps({**FACTS, name: strange}))
        with pytest.raises(BadInput, match=f"its {name} is") as caught:
            refuse_other_shapes(tmp_path, read_facts(tmp_path))
        assert "rm -r" in caught.value.fix


@pytest.mark.parametrize("text", ["[" * 100_000, "\x00", "1", '{"schema": [[[]]]}', '{"schema": 1e999}', "\udcff"])
def test_what_is_no_run_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadInput):
        read_facts(tmp_path)


def test_a_pipe_or_a_folder_is_no_run(tmp_path):
    path = tmp_path / "run.json"
    os.mkfifo(path)
    with pytest.raises(BadInput, match="no regular file"):
        read_facts(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(BadInput, match="cannot be read"):
        read_facts(tmp_path)


def test_the_version_of_another_format_is_no_command(tmp_path):
    for version in ("0.1; rm -rf /", ["0"], None, "0.1\n"):
        (tmp_path / "run.json").write_text(json.dumps({"schema": 0, "versions": {"odecheck": version}}))
        with pytest.raises(BadInput) as caught:
            read_facts(tmp_path)
        assert "odecheck==VERSION" in caught.value.fix


def test_kinds_and_commands():
    assert kind_of(FACTS) == "verify" and kind_of({}) == "" == command_of({"command": 3})
    assert versions_in({"versions": ["x"]}) == {} == versions_in({"versions": {"a": None}})
    assert command_of({"command": ["a\nb", "\x1b]0;x\x07", 3]}) == r"a b \x1b]0;x\x07 3"
