"""Files of a data directory: damaged ones are refused with what to type."""

from __future__ import annotations

import pytest

from odecheck.errors import BadInput
from odecheck.tasks import files
from tests.tasks.silverbox_csv import csv


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: len(text) // 2], "rows, and not"),
        (lambda text: "<html>not found</html>", "and not"),
        (lambda text: text.replace('"V2"', '"V3"'), "and not ['V2']"),
        (lambda text: text.replace("0.200000", "n/a", 1), "no number"),
        (lambda text: "", "cannot be read"),
    ],
)
def test_a_damaged_table_is_refused(damage, said, tmp_path) -> None:
    path = csv(tmp_path, 400)
    assert files.table(tmp_path, path.name, ("V1", "V2"), 400, "how").shape == (400, 2)
    path.write_text(damage(path.read_text()))
    with pytest.raises(BadInput, match="get it again") as refused:
        files.table(tmp_path, path.name, ("V1", "V2"), 400, "how")
    assert said in str(refused.value)


def test_a_file_is_looked_for_where_it_was_said_to_be(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(files.VARIABLE, str(tmp_path / "named"))
    assert files.directory(None) == tmp_path / "named"
    assert files.directory(tmp_path) == tmp_path
    monkeypatch.delenv(files.VARIABLE)
    assert files.directory(None) is None


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        (None, "no data directory is given"),
        ("nowhere", "does not exist"),
        ("x.csv", "is a file"),
        (".", "there is no file y.csv"),
    ],
)
def test_a_file_that_is_not_there_is_refused_with_how_to_get_it(tmp_path, folder, says) -> None:
    (tmp_path / "x.csv").write_text("1")
    with pytest.raises(BadInput, match=says) as refused:
        files.found(None if folder is None else tmp_path / folder, "y.csv", "Get it there.")
    assert refused.value.fix.endswith("Get it there.")
