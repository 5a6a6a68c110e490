"""A byte that was changed is told and never believed; what was not changed is read."""

import math
import os

import pandas as pd
import pytest

from odecheck.records import table
from odecheck.records.table import read_table, write_table

FRAME = pd.DataFrame(
    {
        "name": [f"row {i} é" for i in range(30)],
        "value": [math.nan, -0.0, math.inf, *(1.5 * i for i in range(27))],
        "count": range(30),
        "ok": [True, False] * 15,
        "none": [None] * 30,
    }
)
PLAIN = {"compression": "none", "use_dictionary": False, "write_statistics": False}


def rows(frame) -> list[str]:
    return [repr(row) for row in frame.to_dict("records")]


@pytest.mark.parametrize("options", [{}, PLAIN])
def test_every_changed_byte_is_told_or_says_nothing(tmp_path, options):
    path = tmp_path / "t.parquet"
    write_table(path, FRAME, **options)
    whole, before = path.read_bytes(), rows(read_table(path).frame)
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]
    kept = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        read = read_table(path)
        left = [] if read.frame is None else rows(read.frame)
        assert set(left) <= set(before) and (read.damaged or left == before or not read.checked), place
        kept += len(before) > len(left) >= len(before) - 2 and bool(read.damaged)
    assert kept > 30 or not options, "one byte costs one row"


def test_a_long_table_has_one_checksum(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "MOST", 10)
    path = tmp_path / "t.parquet"
    write_table(path, FRAME, **PLAIN)
    assert read_table(path).damaged == () and len(read_table(path).frame) == 30
    path.write_bytes(path.read_bytes().replace(b"row 7 ", b"row 8 "))
    assert read_table(path).frame is None and "other checksums" in read_table(path).damaged[0]


def test_a_table_without_checksums_is_read_and_told_to_have_none(tmp_path):
    path = tmp_path / "t.parquet"
    FRAME.to_parquet(path)
    read = read_table(path)
    assert rows(read.frame) == rows(FRAME) and not read.checked and read.damaged == ()


def test_a_name_that_is_no_text_is_a_name(tmp_path):
    path = tmp_path / "\udcff.parquet"
    write_table(path, FRAME)
    assert rows(read_table(path).frame) == rows(FRAME.assign(none=None))


def test_what_is_no_table_is_said(tmp_path):
    path = tmp_path / "t.parquet"
    for make in (lambda: os.mkfifo(path), lambda: path.write_text("junk"), lambda: path.symlink_to(path)):
        path.unlink(missing_ok=True)
        make()
        read = read_table(path)
        assert read.frame is None and read.damaged[0].startswith("t.parquet: ")
